// SPDX-License-Identifier: Apache-2.0
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { bytes, count } from '../../lib/format';
import { visible } from '../../lib/plain';
import { setQuery } from '../../lib/router';
import { messages as words } from '../../text/messages';
import { Badge, Button, Field, Figure, Figures, Link, RelativeTime, Tabs, type Column } from '../../ui';
import { deadLetterPath, entityPath, messagePath, type Entity, type Filter, type FilterName, type Message, type Place } from './message';
import './messages.css';

export function StatusBadge({ status }: { status: string }) {
  const active = status === 'Active';
  return <Badge tone={active ? 'green' : 'amber'} icon={active ? 'check-circle' : 'pause'}>{words.status[status] ?? status}</Badge>;
}

export function EntityTabs({ place, entity, current }: { place: Place; entity: Entity | undefined; current: 'messages' | 'dead' }) {
  return (
    <Tabs
      label={words.tabs.label} current={current}
      tabs={[
        { id: 'messages', name: words.tabs.messages, count: entity?.active, to: entityPath(place) },
        { id: 'dead', name: words.tabs.dead, count: entity?.deadLetter, to: deadLetterPath(place) },
      ]}
    />
  );
}

export function Counts({ entity }: { entity: Entity }) {
  return (
    <Figures>
      <Figure name={words.columns.active} value={count(entity.active)} />
      <Figure name={words.columns.locked} value={count(entity.locked)} />
      <Figure name={words.columns.scheduled} value={count(entity.scheduled)} />
      <Figure name={words.columns.deferred} value={count(entity.deferred)} />
      <Figure name={words.columns.dead} value={count(entity.deadLetter)} bad={entity.deadLetter > 0} />
      <Figure name={words.columns.size} value={bytes(entity.sizeBytes)} note={`${words.settings.of} ${bytes(entity.maxSizeBytes)}`} />
    </Figures>
  );
}

// --- messages in a list -----------------------------------------------------------------------

const kShownOfBody = 160;

function Summary({ message }: { message: Message }) {
  const { body, bodyBase64, size, subject } = message;
  return (
    <div class="cell-main">
      {subject && <span class="cell-title">{visible(subject)}</span>}
      {body === undefined && bodyBase64 === undefined
        ? <span class="cell-sub">{words.list.hidden}</span>
        : size === 0
          ? <span class="cell-sub">{words.list.noBody}</span>
          : <span class="cell-sub mono">{visible((body ?? bodyBase64 ?? '').slice(0, kShownOfBody))}{size > kShownOfBody && '…'}</span>}
    </div>
  );
}

export function messageColumns(place: Place, dead: boolean): Column<Message>[] {
  const columns: Column<Message>[] = [
    {
      id: 'sequence', name: words.list.sequence, align: 'fit',
      cell: ({ sequenceNumber }) => <Link class="mono" to={messagePath(place, sequenceNumber, dead)}>{sequenceNumber}</Link>,
    },
  ];
  if (dead)
    columns.push({
      id: 'reason', name: words.list.reason,
      cell: ({ deadLetterReason, deadLetterErrorDescription }) => (
        <div class="cell-main dead-reason">
          <span class="cell-title">{visible(deadLetterReason ?? words.bench.none)}</span>
          {deadLetterErrorDescription && <span class="cell-sub">{visible(deadLetterErrorDescription)}</span>}
        </div>
      ),
    });
  else columns.push({ id: 'state', name: words.list.state, align: 'fit', cell: ({ state }) => words.states[state] ?? state });
  columns.push(
    { id: 'subject', name: words.list.subject, cell: (message) => <Summary message={message} /> },
    { id: 'id', name: words.list.id, cell: ({ messageId }) => <span class="clip message-id mono small" title={messageId}>{visible(messageId ?? '–')}</span> },
    { id: 'enqueued', name: words.list.enqueued, align: 'fit', cell: ({ enqueuedTime }) => <RelativeTime at={enqueuedTime} /> },
    { id: 'deliveries', name: words.list.deliveries, align: 'num', cell: ({ deliveryCount }) => deliveryCount },
    { id: 'size', name: words.list.size, align: 'num', cell: ({ size }) => bytes(size) },
  );
  return columns;
}

// --- filter -----------------------------------------------------------------------------------

const kKinds: Partial<Record<FilterName, string>> = { after: 'datetime-local', before: 'datetime-local' };

export function FilterForm({ filter, names, children }: { filter: Filter; names: readonly FilterName[]; children?: ComponentChildren }) {
  const [draft, setDraft] = useState<Filter>(filter);
  const set = (change: Filter) => setQuery(Object.fromEntries(names.map((name) => [name, change[name] ?? null])));
  const submit = (event: Event) => {
    event.preventDefault();
    set(draft);
  };
  return (
    <form class="stack-s" onSubmit={submit}>
      <div class="form-grid">
        {names.map((name) => (
          <Field key={name} name={words.filter[name]}>
            <input
              class="input" name={name} type={kKinds[name] ?? 'text'} value={draft[name] ?? ''} autocomplete="off"
              onInput={(event) => setDraft({ ...draft, [name]: event.currentTarget.value })}
            />
          </Field>
        ))}
      </div>
      <div class="row">
        <Button type="submit" small look="primary" icon="search">{words.actions.search}</Button>
        <Button
          small look="quiet" disabled={Object.keys(filter).length === 0}
          onClick={() => {
            setDraft({});
            set({});
          }}
        >
          {words.actions.clear}
        </Button>
        {children}
      </div>
    </form>
  );
}
