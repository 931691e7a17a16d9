// SPDX-License-Identifier: Apache-2.0
import { useState } from 'preact/hooks';
import { api, asApiError, type ApiError } from '../../lib/api';
import { visible } from '../../lib/plain';
import { useResource } from '../../lib/resource';
import { can } from '../../lib/session';
import { attempt } from '../../lib/toast';
import { text as common } from '../../text/common';
import { settings } from '../../text/settings';
import { Button, Command, confirm, Dialog, EmptyState, ErrorNotice, Field, Notice, RelativeTime, Show, Table, type Column } from '../../ui';

const text = settings.tokens;

interface Token {
  id: string;
  name: string;
  scopes: string[];
  queues?: string[];
  createdAt: string;
  expiresAt?: string;
  lastUsedAt?: string;
}

export function Tokens() {
  const tokens = useResource<Token[]>('/api/tokens');
  const [making, setMaking] = useState(false);
  const revoke = async (token: Token) => {
    const yes = await confirm({
      title: text.askRevoke(visible(token.name)),
      what: text.revokeWhat,
      action: text.revoke,
      danger: true,
      reversible: false,
    });
    if (yes && (await attempt(() => api.remove(`/api/tokens/${encodeURIComponent(token.id)}`), text.revoked))) tokens.refresh();
  };
  const columns: Column<Token>[] = [
    { id: 'name', name: text.name, cell: (token) => <strong class="break">{visible(token.name)}</strong> },
    { id: 'scopes', name: text.scopes, cell: (token) => token.scopes.join(', ') },
    { id: 'queues', name: text.queues, cell: (token) => visible((token.queues ?? []).join(', ')) || text.allQueues },
    { id: 'created', name: text.created, align: 'fit', cell: (token) => <RelativeTime at={token.createdAt} /> },
    { id: 'expires', name: text.expires, align: 'fit', cell: (token) => (token.expiresAt ? <RelativeTime at={token.expiresAt} /> : text.never) },
    { id: 'used', name: text.used, align: 'fit', cell: (token) => (token.lastUsedAt ? <RelativeTime at={token.lastUsedAt} /> : text.never) },
  ];
  if (can('admin'))
    columns.push({
      id: 'revoke',
      name: text.revoke,
      hideName: true,
      align: 'fit',
      cell: (token) => <Button small look="danger" onClick={() => void revoke(token)}>{text.revoke}</Button>,
    });
  return (
    <>
      {can('admin') && <div class="row"><Button look="primary" icon="plus" onClick={() => setMaking(true)}>{text.create}</Button></div>}
      <Show of={tokens}>
        {(list) => (
          <Table
            caption={text.caption}
            columns={columns}
            rows={list}
            id={(token) => token.id}
            empty={<EmptyState icon="key" title={text.empty}>{text.emptyHint}</EmptyState>}
          />
        )}
      </Show>
      {making && <Create close={() => setMaking(false)} done={tokens.refresh} />}
    </>
  );
}

function Create({ close, done }: { close: () => void; done: () => void }) {
  const [name, setName] = useState('');
  const [scopes, setScopes] = useState<string[]>(['read']);
  const [queues, setQueues] = useState('');
  const [expiresIn, setExpiresIn] = useState('P90D');
  const [made, setMade] = useState('');
  const [error, setError] = useState<ApiError | undefined>();
  const submit = async (event: Event) => {
    event.preventDefault();
    const only = queues.split(',').map((queue) => queue.trim()).filter(Boolean);
    try {
      const { token } = await api.post<{ token: string }>('/api/tokens', {
        name,
        scopes,
        ...(expiresIn && { expiresIn }),
        ...(only.length > 0 && { queues: only }),
      });
      setMade(token);
      done();
    } catch (reason) {
      setError(asApiError(reason));
    }
  };
  if (made)
    return (
      <Dialog title={text.create} close={close} foot={<Button look="primary" onClick={close}>{common.actions.close}</Button>}>
        <Notice kind="warning">{text.made}</Notice>
        <Command text={made} />
      </Dialog>
    );
  const toggle = (scope: string) => setScopes(scopes.includes(scope) ? scopes.filter((one) => one !== scope) : [...scopes, scope]);
  return (
    <Dialog
      title={text.create}
      close={close}
      foot={
        <>
          <Button onClick={close}>{common.actions.cancel}</Button>
          <Button look="primary" type="submit" form="token" disabled={scopes.length === 0}>{text.create}</Button>
        </>
      }
    >
      {error && <ErrorNotice error={error} />}
      <form id="token" class="stack" onSubmit={(event) => void submit(event)}>
        <Field name={text.name}><input class="input" required data-autofocus value={name} onInput={(event) => setName(event.currentTarget.value)} /></Field>
        <fieldset class="fieldset">
          <legend class="legend">{text.scopes}</legend>
          {Object.entries(text.scopeNames).map(([scope, what]) => (
            <label key={scope} class="check">
              <input type="checkbox" class="checkbox" checked={scopes.includes(scope)} onChange={() => toggle(scope)} />
              {what}
            </label>
          ))}
        </fieldset>
        <Field name={text.queues} hint={text.queuesHint}><input class="input" value={queues} onInput={(event) => setQueues(event.currentTarget.value)} /></Field>
        <Field name={text.expiresIn}>
          <select class="select" value={expiresIn} onChange={(event) => setExpiresIn(event.currentTarget.value)}>
            {Object.entries(text.expiresChoices).map(([value, what]) => <option key={value} value={value}>{what}</option>)}
          </select>
        </Field>
      </form>
    </Dialog>
  );
}
