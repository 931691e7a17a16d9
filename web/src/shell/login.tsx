// SPDX-License-Identifier: Apache-2.0
import { useState } from 'preact/hooks';
import { asApiError, url } from '../lib/api';
import { login, session } from '../lib/session';
import { loginText as text } from '../text/login';
import { Button, Field, Notice } from '../ui';
import { Logo } from './nav';

// Shown wherever a request was refused for want of a login; afterwards the page is where it was.
export function Login() {
  const [user, setUser] = useState('');
  const [password, setPassword] = useState('');
  const [wrong, setWrong] = useState('');
  const [busy, setBusy] = useState(false);
  const methods = session.value?.loginMethods ?? ['basic'];
  const [byPassword, byProvider] = [methods.includes('basic'), methods.includes('oidc')];
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setWrong('');
    try {
      await login(user, password);
    } catch (error) {
      const { status, message } = asApiError(error);
      setWrong(status === 401 ? text.wrong : status === 429 ? text.tooMany : message);
    }
    setBusy(false);
  };
  return (
    <main class="login">
      <form class="login-card" onSubmit={(event) => void submit(event)}>
        <Logo />
        <h1>{text.title}</h1>
        {wrong && <Notice kind="error">{wrong}</Notice>}
        {byPassword && (
          <>
            <Field name={text.user}>
              <input class="input" name="user" autocomplete="username" required value={user} onInput={(event) => setUser(event.currentTarget.value)} />
            </Field>
            <Field name={text.password}>
              <input class="input" type="password" name="password" autocomplete="current-password" required value={password} onInput={(event) => setPassword(event.currentTarget.value)} />
            </Field>
            <Button type="submit" look="primary" disabled={busy}>{text.signIn}</Button>
          </>
        )}
        {byProvider && <a class={`button${byPassword ? '' : ' primary'}`} href={url('/oidc/login')}>{text.sso}</a>}
      </form>
    </main>
  );
}
