// SPDX-License-Identifier: Apache-2.0
// One queue: what is in it, looked at without taking anything.
import { useEffect, useState } from 'preact/hooks';
import { api, query } from '../../lib/api';
import { visible } from '../../lib/plain';
import { useLoader, useResource } from '../../lib/resource';
import { param, place as address, setQuery, type PageProps } from '../../lib/router';
import { can } from '../../lib/session';
import { attempt } from '../../lib/toast';
import { messages as words } from '../../text/messages';
import { Button, Card, confirm, EmptyState, Facts, Field, Notice, PageHead, RelativeTime, Show, Table } from '../../ui';
import { follow, Operations } from '../jobs/operations';
import { entityApi, filterDocument, filterOf, messagePath, type Entity, type Filter, type MessagePage, type Place, type Preview } from './message';
import { Counts, EntityTabs, FilterForm, messageColumns, StatusBadge } from './parts';
import { SendDialog } from './send';

const kFilters = ['text', 'property', 'value', 'session', 'after', 'before'] as const;

export default function EntityPage({ params }: PageProps) {
  const place: Place = { namespace: params['namespace'] ?? '', entity: params['entity'] ?? '' };
  const entity = useResource<Entity>(entityApi(place), { everyMs: 3_000 });
  const [round, setRound] = useState(0);
  const again = () => {
    entity.refresh();
    setRound((n) => n + 1);
  };
  const filter = filterOf(address.value.query);
  return (
    <Show of={entity}>
      {(data) => (
        <div class="stack">
          <PageHead
            crumb={{ to: '/messages', name: words.title }} title={visible(data.name)}
            sub={<div class="row"><StatusBadge status={data.status} /> <span>{visible(data.namespace)}</span></div>}
            actions={<Actions place={place} entity={data} filter={filter} done={again} />}
          />
          <Operations onEnd={again} />
          <Counts entity={data} />
          <EntityTabs place={place} entity={data} current="messages" />
          <details class="card search-card" open={Object.keys(filter).length > 0}>
            <summary>{words.search.title}</summary>
            <div class="card-body"><FilterForm filter={filter} names={kFilters} /></div>
          </details>
          {Object.keys(filter).length > 0 ? <Found place={place} filter={filter} round={round} /> : <Peek place={place} round={round} empty={data.active + data.scheduled + data.deferred === 0} />}
          <Settings entity={data} />
        </div>
      )}
    </Show>
  );
}

// --- messages ---------------------------------------------------------------------------------

function Peek({ place, round, empty }: { place: Place; round: number; empty: boolean }) {
  const from = param('from');
  const path = query(`${entityApi(place)}/peek`, { from, count: 50 });
  const page = useResource<MessagePage>(path, { everyMs: from ? 0 : 5_000 });
  useEffect(() => page.refresh(), [round]);
  const [typed, setTyped] = useState(from);
  return (
    <div class="stack-s">
      <form
        class="row from-number"
        onSubmit={(event) => {
          event.preventDefault();
          setQuery({ from: typed });
        }}
      >
        <Field name={words.list.from}>
          <input class="input narrow" type="number" min="1" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} onChange={(event) => setQuery({ from: event.currentTarget.value })} />
        </Field>
        <span class="small muted">{words.list.peek}</span>
      </form>
      <Show of={page}>
        {({ items, next }) => (
          <>
            <Table
              caption={words.list.caption} columns={messageColumns(place, false)} rows={items} id={({ sequenceNumber }) => String(sequenceNumber)}
              to={({ sequenceNumber }) => messagePath(place, sequenceNumber, false)}
              empty={empty
                ? <EmptyState icon="messages" title={words.list.emptyQueue} command={words.list.sendCommand(place.namespace, place.entity)}>{words.list.emptyHint}</EmptyState>
                : <EmptyState title={words.list.empty} />}
            />
            <nav class="pager" aria-label="Pages">
              <span />
              <div class="group">
                <Button small disabled={!from} onClick={() => setQuery({ from: null })}>{words.list.first}</Button>
                <Button small disabled={next === undefined} onClick={() => setQuery({ from: next })}>{words.list.next}</Button>
              </div>
            </nav>
          </>
        )}
      </Show>
    </div>
  );
}

function Found({ place, filter, round }: { place: Place; filter: Filter; round: number }) {
  const body = { filter: filterDocument(filter), sub: '' };
  const found = useLoader<Preview>(`${entityApi(place)} ${JSON.stringify(body)}`, (abort) => api.post<Preview>(`${entityApi(place)}/deadletter/preview`, body, abort));
  useEffect(() => found.refresh(), [round]);
  return (
    <Show of={found}>
      {({ matching, lowerBound, sample }) => (
        <div class="stack-s">
          <p class="strong">{words.search.found(matching, lowerBound)}{matching > sample.length && <span class="muted"> · {words.search.shown(sample.length)}</span>}</p>
          <Table
            caption={words.list.caption} columns={messageColumns(place, false)} rows={sample} id={({ sequenceNumber }) => String(sequenceNumber)}
            to={({ sequenceNumber }) => messagePath(place, sequenceNumber, false)} empty={<EmptyState icon="filter" title={words.search.found(0, false)} />}
          />
        </div>
      )}
    </Show>
  );
}

// --- actions ----------------------------------------------------------------------------------

interface ActionsProps {
  place: Place;
  entity: Entity;
  filter: Filter;
  done: () => void;
}

async function purge(place: Place, filter: Filter): Promise<void> {
  const path = `${entityApi(place)}/purge`;
  const body = { filter: filterDocument(filter) };
  let found: Preview | undefined;
  const ok = await attempt(async () => {
    found = await api.post<Preview>(path, { ...body, dryRun: true });
  });
  if (!ok || !found) return;
  const many = words.purge.messages(found.matching, found.lowerBound);
  const yes = await confirm({
    title: words.purge.title(many), what: words.purge.what, action: words.purge.button, danger: true, reversible: false, count: found.matching, name: place.entity,
  });
  if (!yes) return;
  await attempt(async () => follow((await api.post<{ operationId: string }>(path, body)).operationId));
}

function Actions({ place, entity, filter, done }: ActionsProps) {
  const [sends, setSends] = useState(false);
  const setStatus = async (status: string) => {
    const off = status === 'Disabled';
    if (off && !(await confirm({ title: words.disableTitle(entity.name), what: words.disableWhat, action: words.actions.disable, danger: true, reversible: true }))) return;
    if (await attempt(() => api.post(`${entityApi(place)}/status`, { status }), words.statusDone(entity.name, words.status[status] ?? status))) done();
  };
  return (
    <>
      {can('operate') && <Button look="primary" icon="plus" onClick={() => setSends(true)}>{words.actions.send}</Button>}
      {can('admin') && (
        <>
          {entity.status === 'Active'
            ? <Button icon="pause" onClick={() => void setStatus('Disabled')}>{words.actions.disable}</Button>
            : <Button icon="play" onClick={() => void setStatus('Active')}>{words.actions.enable}</Button>}
          <Button look="danger" icon="trash" onClick={() => void purge(place, filter)}>{words.actions.purge}</Button>
        </>
      )}
      {sends && <SendDialog place={place} close={() => setSends(false)} done={done} />}
    </>
  );
}

function Settings({ entity }: { entity: Entity }) {
  const s = words.settings;
  return (
    <Card title={words.tabs.facts}>
      <Facts
        facts={[
          [s.lock, entity.lockDuration], [s.deliveries, entity.maxDeliveryCount], [s.ttl, entity.defaultTimeToLive ?? s.never], [s.sessions, entity.sessions ? s.yes : s.no],
          entity.forwardTo ? [s.forward, visible(entity.forwardTo)] : null,
          entity.forwardDeadLetteredMessagesTo ? [s.forwardDead, visible(entity.forwardDeadLetteredMessagesTo)] : null,
          entity.transfer > 0 && [s.transfer, entity.transfer], entity.transferDeadLetter > 0 && [s.transferDead, entity.transferDeadLetter],
          [s.created, <RelativeTime at={entity.createdAt} />], [s.accessed, <RelativeTime at={entity.accessedAt} />],
        ]}
      />
      {entity.status !== 'Active' && <Notice kind="warning">{words.disableWhat}</Notice>}
    </Card>
  );
}
