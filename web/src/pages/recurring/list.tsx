// SPDX-License-Identifier: Apache-2.0
import { useState } from 'preact/hooks';
import { query } from '../../lib/api';
import { count, ms, sentence } from '../../lib/format';
import { useShortcuts } from '../../lib/keys';
import { visible } from '../../lib/plain';
import { useResource } from '../../lib/resource';
import { param, setQuery, type PageProps } from '../../lib/router';
import { can } from '../../lib/session';
import type { Page, Recurring } from '../../lib/types';
import { text as common } from '../../text/common';
import { recurring as text } from '../../text/recurring';
import {
  Badge, Button, EmptyState, Icon, Labels, Link, Menu, PageHead, Pager, RelativeTime, Show, StateBadge, Table, type Column,
  type Sort,
} from '../../ui';
import { command, items, type Command } from './actions';
import { RecurringForm } from './form';
import './recurring.css';

const kLimit = 200;

type Sortable = 'name' | 'next' | 'last' | 'runs' | 'skipped' | 'zone';

function valueOf(job: Recurring, by: string): string | number {
  switch (by as Sortable) {
    case 'next':
      return ms(job.nextRun) ?? Number.MAX_SAFE_INTEGER;
    case 'last':
      return ms(job.lastRun) ?? 0;
    case 'runs':
      return job.runs ?? 0;
    case 'skipped':
      return (job.skippedRuns ?? 0) + (job.missedRuns ?? 0);
    case 'zone':
      return job.zoneId;
    default:
      return (job.jobName || job.id).toLowerCase();
  }
}

function sorted(jobs: Recurring[], { by, descending }: Sort): Recurring[] {
  const sign = descending ? -1 : 1;
  return [...jobs].sort((a, b) => {
    const [x, y] = [valueOf(a, by), valueOf(b, by)];
    return x < y ? -sign : x > y ? sign : 0;
  });
}

function columns(again: () => void, edit: (job: Recurring) => void): Column<Recurring>[] {
  return [
    {
      id: 'name',
      name: text.name,
      sort: true,
      cell: (job) => (
        <div class="cell-main">
          <span class="row">
            <Link class="cell-title plain" to={`/recurring-jobs/${encodeURIComponent(job.id)}`}>{visible(job.jobName || job.id)}</Link>
            <Labels labels={job.labels} />
          </span>
          <code class="cell-sub">{visible(job.id)}</code>
        </div>
      ),
    },
    {
      id: 'schedule',
      name: text.schedule,
      cell: (job) => (
        <div class="cell-main">
          <span>{visible(sentence(job.human || job.scheduleExpression))}</span>
          <code class="cell-sub">{visible(job.scheduleExpression)}</code>
        </div>
      ),
    },
    { id: 'zone', name: text.zone, align: 'fit', sort: true, cell: (job) => visible(job.zoneId) },
    {
      id: 'next',
      name: text.next,
      align: 'fit',
      sort: true,
      cell: (job) => (job.paused ? <Badge icon="pause" tone="amber">{text.paused}</Badge> : <RelativeTime at={job.nextRun} />),
    },
    {
      id: 'last',
      name: text.last,
      align: 'fit',
      sort: true,
      cell: (job) => (
        <span class="row">
          <RelativeTime at={job.lastRun} />
          {job.lastOutcome && <StateBadge state={job.lastOutcome} />}
        </span>
      ),
    },
    { id: 'runs', name: text.runs, align: 'num', sort: true, cell: (job) => count(job.runs) },
    {
      id: 'skipped',
      name: `${text.skipped} · ${text.missed}`,
      align: 'num',
      sort: true,
      cell: (job) => <span title={job.lastSkipReason}>{count(job.skippedRuns ?? 0)} · {count(job.missedRuns ?? 0)}</span>,
    },
    {
      id: 'actions',
      name: text.actions,
      hideName: true,
      align: 'fit',
      cell: (job) => <Menu quiet label={`${text.actions}: ${job.id}`} items={items(job, again, () => edit(job))} />,
    },
  ];
}

export default function RecurringJobs(_: PageProps) {
  const offset = Number(param('offset')) || 0;
  const words = param('text');
  const onlyPaused = param('paused') === 'true';
  const list = useResource<Page<Recurring>>(
    query('/api/recurring-jobs', { text: words, paused: onlyPaused ? 'true' : '', offset, limit: kLimit }),
    { everyMs: 5_000 },
  );
  const [selected, setSelected] = useState<Set<string>>(new Set());
  const [editing, setEditing] = useState<Recurring | 'new' | undefined>();
  const [typed, setTyped] = useState(words);
  const sort: Sort = { by: param('sort') || 'name', descending: param('order') === 'desc' };
  useShortcuts({ '/': () => document.getElementById('recurring-search')?.focus() });
  const act = (what: Command, ids: string[]) =>
    void command(what, ids).then((yes) => {
      if (!yes) return;
      setSelected(new Set());
      list.refresh();
    });
  return (
    <>
      <PageHead
        title={text.title}
        actions={can('admin') && <Button look="primary" icon="plus" onClick={() => setEditing('new')}>{text.create}</Button>}
      />
      <form
        class="row"
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          setQuery({ text: typed, offset: null });
        }}
      >
        <div class="search grow">
          <Icon name="search" />
          <input id="recurring-search" class="input" type="search" placeholder={text.search} aria-label={text.search} value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
        </div>
        <Button type="submit">{common.search.label}</Button>
        <Button aria-pressed={onlyPaused} onClick={() => setQuery({ paused: onlyPaused ? null : 'true', offset: null })}>{text.onlyPaused}</Button>
      </form>
      {selected.size > 0 && (
        <div class="selection-bar" role="region" aria-label={common.list.selected(selected.size)}>
          <strong>{common.list.selected(selected.size)}</strong>
          <span class="grow" />
          <Button small icon="play" onClick={() => act('trigger', [...selected])}>{text.trigger}</Button>
          <Button small icon="pause" onClick={() => act('pause', [...selected])}>{text.pause}</Button>
          <Button small icon="play" onClick={() => act('resume', [...selected])}>{text.resume}</Button>
          {can('admin') && <Button small look="danger" icon="trash" onClick={() => act('delete', [...selected])}>{text.delete}</Button>}
        </div>
      )}
      <Show of={list}>
        {(page) => (
          <>
            <Table
              caption={text.caption}
              columns={columns(list.refresh, setEditing)}
              rows={sorted(page.items, sort)}
              id={(job) => job.id}
              to={(job) => `/recurring-jobs/${encodeURIComponent(job.id)}`}
              selection={can('operate') ? { ids: selected, change: setSelected } : undefined}
              sort={sort}
              onSort={({ by, descending }) => setQuery({ sort: by, order: descending ? 'desc' : null })}
              keys={can('operate') ? { p: (job) => act(job.paused ? 'resume' : 'pause', [job.id]), ...(can('admin') && { d: (job: Recurring) => act('delete', [job.id]) }) } : {}}
              empty={
                words || onlyPaused ? (
                  <EmptyState icon="search" title={text.emptySearch} />
                ) : (
                  <EmptyState icon="recurring" title={text.empty} command={text.emptyCommand}>{text.emptyHint}</EmptyState>
                )
              }
            />
            {page.total > kLimit && (
              <Pager
                previous={offset > 0 ? () => setQuery({ offset: Math.max(0, offset - kLimit) || null }) : undefined}
                next={offset + kLimit < page.total ? () => setQuery({ offset: offset + kLimit }) : undefined}
              >
                {common.list.of(page.items.length, page.total, false)}
              </Pager>
            )}
          </>
        )}
      </Show>
      {editing && <RecurringForm job={editing === 'new' ? undefined : editing} close={() => setEditing(undefined)} done={list.refresh} />}
    </>
  );
}
