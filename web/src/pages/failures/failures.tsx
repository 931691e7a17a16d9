// SPDX-License-Identifier: Apache-2.0
// Failed jobs by what went wrong, so that a thousand of them are one thing to look at.
import { api, query } from '../../lib/api';
import { count, plural } from '../../lib/format';
import { visible } from '../../lib/plain';
import { useLoader, useResource } from '../../lib/resource';
import { navigate, param, setQuery, withQuery, type PageProps } from '../../lib/router';
import { can } from '../../lib/session';
import { attempt, toastError } from '../../lib/toast';
import type { FailureGroup, Job, JobPage, Page } from '../../lib/types';
import { failures as text } from '../../text/failures';
import { jobs as words } from '../../text/jobs';
import { text as common } from '../../text/common';
import {
  Badge, confirm, EmptyState, Link, Menu, PageHead, Pager, RelativeTime, Show, Table, Tabs,
  type Column, type MenuItem,
} from '../../ui';
import { follow, Operations } from '../jobs/operations';

const kLimit = 50;
type TabId = 'open' | 'muted' | 'quarantined';

function tab(): TabId {
  const given = param('tab');
  return given === 'muted' || given === 'quarantined' ? given : 'open';
}

export default function Failures(_: PageProps) {
  const offset = Number(param('offset')) || 0;
  const groups = useResource<Page<FailureGroup>>(query('/api/failures', { offset, limit: kLimit }), { everyMs: 10_000 });
  const current = tab();
  const ids: TabId[] = ['open', 'muted', 'quarantined'];
  return (
    <>
      <PageHead title={text.title} sub={text.sub} />
      <Tabs
        label={text.tabsLabel}
        current={current}
        tabs={ids.map((id) => ({ id, name: text.tabs[id], to: withQuery({ tab: id === 'open' ? null : id, offset: null }) }))}
      />
      <Operations onEnd={groups.refresh} />
      {current === 'quarantined' ? (
        <Quarantine />
      ) : (
        <Show of={groups}>
          {(page) => (
            <>
              <Groups groups={page.items.filter((group) => group.muted === (current === 'muted'))} muted={current === 'muted'} again={groups.refresh} />
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
      )}
    </>
  );
}

async function actOnAll(group: FailureGroup, action: 'requeue' | 'delete'): Promise<void> {
  const path = `/api/failures/${encodeURIComponent(group.fingerprint)}/${action}`;
  try {
    const found = await api.post<{ matching?: number }>(path, { dryRun: true });
    const n = found.matching ?? group.count;
    const yes = await confirm({
      title: action === 'requeue' ? text.askRequeue(plural(n, 'job')) : text.askDelete(plural(n, 'job')),
      what: `${visible(group.type)}: ${visible(group.message)}`,
      action: action === 'requeue' ? text.requeueAll : text.deleteAll,
      danger: action === 'delete',
      reversible: action === 'requeue' ? words.ask.requeueBack : words.ask.deleteBack,
      count: n,
      name: action,
    });
    if (!yes) return;
    follow((await api.post<{ operationId: string }>(path)).operationId);
  } catch (error) {
    toastError(error);
  }
}

function of(group: FailureGroup): string {
  return `/jobs?state=FAILED&failureFingerprint=${encodeURIComponent(group.fingerprint)}`;
}

function actions(group: FailureGroup, again: () => void): MenuItem[] {
  const mute = () =>
    void attempt(
      () => api.post(`/api/failures/${encodeURIComponent(group.fingerprint)}/mute`, { muted: !group.muted }),
      group.muted ? text.unmuted : text.muted,
    ).then(again);
  const items: MenuItem[] = [
    { name: text.show, act: () => navigate(of(group)) },
    { name: text.example, act: () => navigate(`/jobs/${group.example}`) },
  ];
  if (!can('operate')) return items;
  items.push({ name: text.requeueAll, act: () => void actOnAll(group, 'requeue') });
  items.push({ name: group.muted ? text.unmute : text.mute, act: mute });
  if (can('admin')) items.push({ name: text.deleteAll, act: () => void actOnAll(group, 'delete'), danger: true });
  return items;
}

function Groups({ groups, muted, again }: { groups: FailureGroup[]; muted: boolean; again: () => void }) {
  const columns: Column<FailureGroup>[] = [
    {
      id: 'error',
      name: text.error,
      cell: (group) => (
        <div class="cell-main">
          <span class="row">
            <Link class="cell-title plain" to={of(group)}>{visible(group.type)}</Link>
            {group.quarantined > 0 && <Badge icon="shield" tone="amber">{text.quarantined(count(group.quarantined))}</Badge>}
          </span>
          <span class="cell-sub clip wide" title={group.message}>{visible(group.message)}</span>
          {group.topFrame && <code class="cell-sub clip wide">{visible(group.topFrame)}</code>}
        </div>
      ),
    },
    { id: 'kind', name: text.kind, align: 'fit', cell: (group) => visible(group.kind) },
    { id: 'count', name: text.jobs, align: 'num', cell: (group) => <strong>{count(group.count)}</strong> },
    { id: 'first', name: text.first, align: 'fit', cell: (group) => <RelativeTime at={group.firstSeen} /> },
    { id: 'last', name: text.last, align: 'fit', cell: (group) => <RelativeTime at={group.lastSeen} /> },
    { id: 'actions', name: text.actions, hideName: true, align: 'fit', cell: (group) => <Menu quiet label={`${text.actions}: ${group.type}`} items={actions(group, again)} /> },
  ];
  return (
    <Table
      caption={text.caption}
      columns={columns}
      rows={groups}
      id={(group) => group.fingerprint}
      to={of}
      keys={{
        ...(can('operate') && { r: (group: FailureGroup) => void actOnAll(group, 'requeue') }),
        ...(can('admin') && { d: (group: FailureGroup) => void actOnAll(group, 'delete') }),
      }}
      empty={
        muted ? (
          <EmptyState icon="bell" title={text.emptyMuted}>{text.emptyMutedHint}</EmptyState>
        ) : (
          <EmptyState icon="check-circle" title={text.empty}>{text.emptyHint}</EmptyState>
        )
      }
    />
  );
}

const kCrashLimit = 'jobmill.CrashLimit';

function Quarantine() {
  const body = { filter: { state: ['FAILED'], errorType: kCrashLimit }, order: 'updatedAt:DESC', limit: 100 };
  const page = useLoader<JobPage>('quarantine', (abort) => api.post<JobPage>('/api/jobs/search', body, abort), { everyMs: 10_000 });
  const columns: Column<Job>[] = [
    {
      id: 'name',
      name: words.name,
      cell: (job) => (
        <div class="cell-main">
          <Link class="cell-title plain" to={`/jobs/${job.id}`}>{visible(job.name || job.kind)}</Link>
          {job.error && <span class="cell-sub clip wide">{visible(job.error.message)}</span>}
        </div>
      ),
    },
    { id: 'queue', name: words.queue, align: 'fit', cell: (job) => visible(job.queue) },
    { id: 'crashes', name: text.crashed, align: 'num', cell: (job) => `${job.crashes} / ${job.max_crashes}` },
    { id: 'when', name: text.last, align: 'fit', cell: (job) => <RelativeTime at={job.updated_at} /> },
  ];
  return (
    <Show of={page}>
      {(value) => (
        <Table
          caption={text.quarantineCaption}
          columns={columns}
          rows={value.items}
          id={(job) => job.id}
          to={(job) => `/jobs/${job.id}`}
          empty={<EmptyState icon="shield" title={text.emptyQuarantine}>{text.emptyQuarantineHint}</EmptyState>}
        />
      )}
    </Show>
  );
}
