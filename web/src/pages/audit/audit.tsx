// SPDX-License-Identifier: Apache-2.0
import { useState } from 'preact/hooks';
import { query, url } from '../../lib/api';
import { visible } from '../../lib/plain';
import { useResource } from '../../lib/resource';
import { param, setQuery, type PageProps } from '../../lib/router';
import { audit as text } from '../../text/audit';
import { text as common } from '../../text/common';
import {
  Badge, Button, Dialog, EmptyState, Field, Icon, Json, Menu, PageHead, RelativeTime, Show, Table, type Column,
} from '../../ui';
import { localInput } from '../jobs/bulk';

interface Entry {
  id: string | number;
  at: string;
  user: string;
  address: string;
  action: string;
  target: string;
  before?: unknown;
  after?: unknown;
  status: number;
}

const kFilters = ['user', 'action', 'target', 'from', 'to'] as const;

function filters(): Record<string, string> {
  return Object.fromEntries(kFilters.map((name) => [name, param(name)]));
}

function columns(show: (entry: Entry) => void): Column<Entry>[] {
  return [
    { id: 'when', name: text.when, align: 'fit', cell: (entry) => <RelativeTime at={entry.at} /> },
    { id: 'who', name: text.who, align: 'fit', cell: (entry) => <strong>{visible(entry.user) || common.account.anonymous}</strong> },
    { id: 'where', name: text.where, align: 'fit', cell: (entry) => <span class="muted">{visible(entry.address)}</span> },
    { id: 'action', name: text.action, align: 'fit', cell: (entry) => <code>{visible(entry.action)}</code> },
    { id: 'target', name: text.target, cell: (entry) => <span class="break">{visible(entry.target)}</span> },
    {
      id: 'status',
      name: text.status,
      align: 'fit',
      cell: (entry) =>
        entry.status < 400 ? <Badge icon="check" tone="green">{text.done}</Badge> : <Badge icon="close" tone="red">{text.refused} {entry.status}</Badge>,
    },
    {
      id: 'change',
      name: text.change,
      hideName: true,
      align: 'fit',
      cell: (entry) =>
        (entry.before !== undefined || entry.after !== undefined) && (
          <Button small look="quiet" onClick={() => show(entry)}>{text.change}</Button>
        ),
    },
  ];
}

export default function Audit(_: PageProps) {
  const chosen = filters();
  const page = useResource<{ items: Entry[]; next?: string }>(query('/api/audit', { ...chosen, after: param('after'), limit: 50 }));
  const [shown, setShown] = useState<Entry | undefined>();
  const leave = (format: string) => window.location.assign(url(query('/api/audit', { ...chosen, format })));
  return (
    <>
      <PageHead
        title={text.title}
        sub={text.sub}
        actions={
          <Menu label={text.export} items={[{ name: text.csv, act: () => leave('csv') }, { name: text.jsonl, act: () => leave('jsonl') }]}>
            <Icon name="download" />
            {text.export}
          </Menu>
        }
      />
      <FilterForm key={JSON.stringify(chosen)} chosen={chosen} />
      <Show of={page}>
        {(value) => (
          <>
            <Table
              caption={text.caption}
              columns={columns(setShown)}
              rows={value.items}
              id={(entry) => String(entry.id)}
              empty={
                Object.values(chosen).some(Boolean) ? (
                  <EmptyState icon="search" title={text.emptyFiltered} />
                ) : (
                  <EmptyState icon="audit" title={text.empty}>{text.emptyHint}</EmptyState>
                )
              }
            />
            {(value.next || param('after')) && (
              <div class="row pager">
                <Button small disabled={!param('after')} onClick={() => setQuery({ after: null })}>{text.newest}</Button>
                <Button small disabled={!value.next} onClick={() => setQuery({ after: value.next })}>{text.older}</Button>
              </div>
            )}
          </>
        )}
      </Show>
      {shown && (
        <Dialog title={`${visible(shown.action)} ${visible(shown.target)}`} close={() => setShown(undefined)} wide>
          <div class="grid-2">
            <section class="stack-s"><h3>{text.before}</h3><Json value={shown.before ?? null} label={text.before} /></section>
            <section class="stack-s"><h3>{text.after}</h3><Json value={shown.after ?? null} label={text.after} /></section>
          </div>
        </Dialog>
      )}
    </>
  );
}

function FilterForm({ chosen }: { chosen: Record<string, string> }) {
  const [form, setForm] = useState<Record<string, string>>({
    ...chosen,
    from: chosen['from'] ? localInput(new Date(chosen['from'])) : '',
    to: chosen['to'] ? localInput(new Date(chosen['to'])) : '',
  });
  const set = (name: string) => ({
    class: 'input',
    value: form[name],
    onInput: (event: Event) => setForm({ ...form, [name]: (event.currentTarget as HTMLInputElement).value }),
  });
  const instant = (value: string | undefined) => (value ? new Date(value).toISOString() : null);
  const submit = (event: Event) => {
    event.preventDefault();
    setQuery({ ...form, from: instant(form['from']), to: instant(form['to']), after: null });
  };
  return (
    <details open={Object.values(chosen).some(Boolean)}>
      <summary>{text.filter}</summary>
      <form class="form-grid filters" role="search" onSubmit={submit}>
        <Field name={text.user}><input {...set('user')} /></Field>
        <Field name={text.action}><input {...set('action')} /></Field>
        <Field name={text.filterTarget}><input {...set('target')} /></Field>
        <Field name={text.from}><input type="datetime-local" {...set('from')} /></Field>
        <Field name={text.to}><input type="datetime-local" {...set('to')} /></Field>
        <div class="field end"><Button type="submit" icon="filter">{text.filter}</Button></div>
      </form>
    </details>
  );
}
