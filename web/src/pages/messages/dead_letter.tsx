// SPDX-License-Identifier: Apache-2.0
// The dead-letter workbench: why messages ended here, and what becomes of them. The work is done by
// the server, for one or a hundred thousand; here one sees what it would be, and how far it is.
import { useState } from 'preact/hooks';
import { api } from '../../lib/api';
import { count } from '../../lib/format';
import { visible } from '../../lib/plain';
import { useLoader, useResource } from '../../lib/resource';
import { place as address, withQuery, type PageProps } from '../../lib/router';
import { can } from '../../lib/session';
import { attempt } from '../../lib/toast';
import { text as common } from '../../text/common';
import { messages as words } from '../../text/messages';
import { Button, Card, confirm, Dialog, EmptyState, Field, Link, PageHead, Show, Table } from '../../ui';
import { follow, Operations } from '../jobs/operations';
import { entityApi, entityPath, filterDocument, filterOf, kFilterNames, messagePath, type Entity, type FilterDocument, type Message, type Place, type Preview } from './message';
import { EntityTabs, FilterForm, messageColumns, StatusBadge } from './parts';
import { SendDialog } from './send';

export default function DeadLetters({ params }: PageProps) {
  const place: Place = { namespace: params['namespace'] ?? '', entity: params['entity'] ?? '' };
  const entity = useResource<Entity>(entityApi(place), { everyMs: 5_000 });
  const filter = filterOf(address.value.query);
  const [chosen, setChosen] = useState<Set<string>>(new Set());
  const body = { filter: filterDocument(filter) };
  const found = useLoader<Preview>(
    `${entityApi(place)} ${JSON.stringify(body)}`,
    (abort) => api.post<Preview>(`${entityApi(place)}/deadletter/preview`, body, abort),
    { everyMs: 10_000 },
  );
  const again = () => {
    setChosen(new Set());
    found.refresh();
    entity.refresh();
  };
  return (
    <Show of={entity}>
      {(data) => (
        <div class="stack">
          <PageHead
            crumb={{ to: entityPath(place), name: data.name }} title={`${visible(data.name)}: ${words.tabs.dead.toLowerCase()}`}
            sub={<div class="row"><StatusBadge status={data.status} /> <span>{visible(data.namespace)}</span></div>}
          />
          <Operations onEnd={again} />
          <EntityTabs place={place} entity={data} current="dead" />
          <Card title={words.filter.title}><FilterForm filter={filter} names={kFilterNames} /></Card>
          <Show of={found}>
            {(preview) => (
              <>
                <Groups preview={preview} />
                <Letters place={place} preview={preview} filter={body.filter} chosen={chosen} choose={setChosen} again={again} />
              </>
            )}
          </Show>
        </div>
      )}
    </Show>
  );
}

function Groups({ preview }: { preview: Preview }) {
  if (preview.groups.length === 0) return null;
  return (
    <Card title={words.bench.groups} flush>
      <div class="table-wrap">
        <table class="table">
          <caption class="sr">{words.bench.groupsCaption}</caption>
          <thead><tr><th scope="col">{words.filter.reason}</th><th scope="col">{words.filter.description}</th><th scope="col" class="num">{words.columns.dead}</th></tr></thead>
          <tbody>
            {preview.groups.map(({ reason, description, count: many }) => (
              <tr key={`${reason} ${description}`}>
                <th scope="row">{reason ? <Link to={withQuery({ reason, description })}>{visible(reason)}</Link> : <span class="muted">{words.bench.none}</span>}</th>
                <td class="break">{visible(description)}</td>
                <td class="num">{count(many)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

interface LettersProps {
  place: Place;
  preview: Preview;
  filter: FilterDocument;
  chosen: Set<string>;
  choose: (ids: Set<string>) => void;
  again: () => void;
}

function Letters({ place, preview, filter, chosen, choose, again }: LettersProps) {
  const [asks, setAsks] = useState(false);
  const [edited, setEdited] = useState<Message | null>(null);
  const numbers = [...chosen].map(Number);
  const wanted = numbers.length > 0 ? { sequenceNumbers: numbers } : filter;
  const many = numbers.length > 0 ? words.bench.letters(numbers.length) : words.bench.letters(preview.matching, preview.lowerBound);
  const columns = messageColumns(place, true);
  if (can('operate'))
    columns.push({ id: 'edit', name: words.actions.resend, hideName: true, align: 'fit', cell: (message) => <Button small icon="edit" label={words.actions.resend} onClick={() => setEdited(message)} /> });

  const purge = async () => {
    const yes = await confirm({
      title: words.purge.title(many), what: words.purge.what, action: words.purge.button, danger: true, reversible: false,
      count: numbers.length || preview.matching, name: place.entity,
    });
    if (yes) await attempt(async () => follow((await api.post<{ operationId: string }>(`${entityApi(place)}/purge`, { filter: wanted, sub: 'deadletter' })).operationId));
  };
  return (
    <div class="stack-s">
      <div class="row-between">
        <p class="strong">
          {numbers.length > 0 ? words.bench.selected(numbers.length) : words.bench.matching(preview.matching, preview.lowerBound)}
          {preview.matching > preview.sample.length && <span class="muted"> · {words.bench.sample(preview.sample.length)}</span>}
        </p>
        <div class="row actions">
          {can('operate') && <Button look="primary" icon="refresh" disabled={preview.matching === 0} onClick={() => setAsks(true)}>{words.actions.redrive}</Button>}
          {can('admin') && <Button look="danger" icon="trash" disabled={preview.matching === 0} onClick={() => void purge()}>{words.actions.purge}</Button>}
        </div>
      </div>
      <Table
        caption={words.list.deadCaption} columns={columns} rows={preview.sample} id={({ sequenceNumber }) => String(sequenceNumber)}
        to={({ sequenceNumber }) => messagePath(place, sequenceNumber, true)}
        selection={can('operate') ? { ids: chosen, change: choose } : undefined}
        empty={<EmptyState icon="check-circle" title={words.list.deadEmpty}>{words.list.deadHint}</EmptyState>}
      />
      {asks && <Redrive place={place} many={many} filter={wanted} close={() => setAsks(false)} />}
      {edited && <SendDialog place={place} dead={edited} close={() => setEdited(null)} done={again} />}
    </div>
  );
}

function Redrive({ place, many, filter, close }: { place: Place; many: string; filter: FilterDocument; close: () => void }) {
  const [target, setTarget] = useState('');
  const [rate, setRate] = useState('');
  const perSecond = Number(rate);
  const valid = rate === '' || (Number.isInteger(perSecond) && perSecond >= 1);
  const start = async () => {
    const body = { filter, ...(target ? { target } : {}), ...(rate ? { ratePerS: perSecond } : {}) };
    const ok = await attempt(async () => follow((await api.post<{ operationId: string }>(`${entityApi(place)}/redrive`, body)).operationId));
    if (ok) close();
  };
  const b = words.bench;
  return (
    <Dialog
      title={b.redriveTitle(many)} close={close}
      foot={
        <>
          <Button data-autofocus onClick={close}>{common.actions.cancel}</Button>
          <Button look="primary" disabled={!valid} onClick={() => void start()}>{b.redrive}</Button>
        </>
      }
    >
      <p>{b.redriveWhat}</p>
      <Field name={b.target} hint={b.targetHint}><input class="input" value={target} onInput={(event) => setTarget(event.currentTarget.value)} /></Field>
      <Field name={b.rate} hint={b.rateHint}><input class="input" type="number" min="1" value={rate} onInput={(event) => setRate(event.currentTarget.value)} /></Field>
    </Dialog>
  );
}
