// SPDX-License-Identifier: Apache-2.0
// The frame around every page: navigation, top bar, shortcuts, and what is shown over it.
import type { ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { signal } from '@preact/signals';
import { asApiError, signedOut, type ApiError } from '../lib/api';
import { useShortcuts, type Shortcuts } from '../lib/keys';
import { match, navigate, path, place, type PageProps, type Route } from '../lib/router';
import { loadSession, session } from '../lib/session';
import { routes } from '../routes';
import { text } from '../text/common';
import { ConfirmHost, EmptyState, ErrorNotice, Link, Loading } from '../ui';
import { Toasts } from '../ui/toasts';
import { Login } from './login';
import { Nav } from './nav';
import { Palette } from './palette';
import { places } from './places';
import { Help } from './help';
import { TopBar } from './top_bar';

export const over = signal<'' | 'palette' | 'help' | 'nav'>('');

export function App() {
  const [error, setError] = useState<ApiError | undefined>();
  const start = () => {
    setError(undefined);
    loadSession().catch((reason: unknown) => setError(asApiError(reason)));
  };
  useEffect(start, []);
  if (signedOut.value) return <Login />;
  if (!session.value)
    return <main class="boot">{error ? <ErrorNotice error={error} retry={start} /> : <Loading rows={3} />}</main>;
  return <Frame />;
}

function goSequences(): Shortcuts {
  const keyed = places().filter((one) => one.key);
  return Object.fromEntries(keyed.map((one) => [`g ${one.key}`, () => navigate(one.path)]));
}

function goBack(): boolean {
  if (document.querySelector('.menu-list')) return false;
  const up = place.value.path.replace(/\/[^/]+$/, '');
  if (!up) return false;
  navigate(up);
  return true;
}

function Frame() {
  useShortcuts({
    ...goSequences(),
    'Ctrl+K': () => {
      over.value = over.value === 'palette' ? '' : 'palette';
    },
    '?': () => {
      over.value = 'help';
    },
    Escape: goBack,
  });
  const close = () => {
    over.value = '';
  };
  return (
    <>
      <a class="skip" href="#main">{text.skip}</a>
      <div class={`layout${over.value === 'nav' ? ' nav-open' : ''}`}>
        <Nav close={close} />
        <div class="content">
          <TopBar openNav={() => (over.value = 'nav')} openPalette={() => (over.value = 'palette')} />
          <Main />
        </div>
      </div>
      {over.value === 'palette' && <Palette close={close} />}
      {over.value === 'help' && <Help close={close} />}
      <ConfirmHost />
      <Toasts />
    </>
  );
}

type Loaded = { route: Route; page?: ComponentType<PageProps>; error?: ApiError };

function Main() {
  const found = match(routes, path.value);
  const [loaded, setLoaded] = useState<Loaded | undefined>();
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const route = found?.route;

  useEffect(() => {
    if (path.value === '/') navigate('/overview', { replace: true });
    over.value = '';
    document.title = `${route?.title ?? text.notFound} · ${text.product}`;
    if (!route) return;
    let gone = false;
    route.load().then(
      (module) => gone || setLoaded({ route, page: module.default }),
      (error: unknown) => gone || setLoaded({ route, error: asApiError(error) }),
    );
    return () => {
      gone = true;
    };
  }, [route]);

  // A reader of screens hears that there is another page.
  useEffect(() => {
    if (first.current) first.current = false;
    else main.current?.focus({ preventScroll: true });
  }, [path.value]);

  const ready = loaded && loaded.route === route ? loaded : undefined;
  const Page = ready?.page;
  return (
    <main class="main" id="main" tabIndex={-1} ref={main}>
      {!found ? (
        <EmptyState icon="search" title={text.notFound}>
          {text.notFoundHint} <Link to="/overview">{text.nav.overview}</Link>
        </EmptyState>
      ) : ready?.error ? (
        <ErrorNotice error={ready.error} retry={() => window.location.reload()} />
      ) : Page ? (
        <Page key={path.value} params={found.params} />
      ) : (
        <Loading rows={6} />
      )}
    </main>
  );
}
