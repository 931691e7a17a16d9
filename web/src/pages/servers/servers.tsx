// SPDX-License-Identifier: Apache-2.0
import { api } from '../../lib/api';
import { bytes, percent } from '../../lib/format';
import { visible } from '../../lib/plain';
import { useLoader, useResource } from '../../lib/resource';
import type { PageProps } from '../../lib/router';
import { can } from '../../lib/session';
import type { JobPage, Server, Target } from '../../lib/types';
import { useStats } from '../../shell/stats';
import { servers as text } from '../../text/servers';
import { Command as CommandLine, Elapsed, Icon, Link, Menu, PageHead, ProgressBar, RelativeTime, Show, Table, type Column } from '../../ui';
import { here } from '../../timeline/format';
import { targetPath } from '../../timeline/target';
import { command, commands, ServerState } from './actions';
import './servers.css';

export function Slots({ server }: { server: Server }) {
  return (
    <span class="slots">
      <ProgressBar done={server.occupiedWorkers} total={server.workerPoolSize} label={`${text.slots}: ${server.name}`} />
      {server.occupiedWorkers} / {server.workerPoolSize}
    </span>
  );
}

function columns(again: () => void): Column<Server>[] {
  const list: Column<Server>[] = [
    {
      id: 'name',
      name: text.name,
      cell: (server) => (
        <div class="cell-main">
          <Link class="cell-title plain" to={`/servers/${encodeURIComponent(server.id)}`}>{visible(server.name || server.id)}</Link>
          <span class="cell-sub">
            {[server.host, server.version, server.generation].filter(Boolean).map((one) => visible(String(one))).join(' · ')}
          </span>
        </div>
      ),
    },
    { id: 'state', name: text.state, align: 'fit', cell: (server) => <ServerState server={server} /> },
    { id: 'slots', name: text.slots, align: 'fit', cell: (server) => <Slots server={server} /> },
    { id: 'queues', name: text.queues, cell: (server) => <span class="subtle">{visible((server.queues ?? []).join(', ')) || text.all}</span> },
    { id: 'memory', name: text.memory, align: 'num', cell: (server) => bytes(server.systemFreeMemory) },
    { id: 'cpu', name: text.cpu, align: 'num', cell: (server) => percent(server.systemCpuLoad) },
    { id: 'started', name: text.started, align: 'fit', cell: (server) => <RelativeTime at={server.firstHeartbeat} /> },
    { id: 'beat', name: text.beat, align: 'num', cell: (server) => <Elapsed since={server.lastHeartbeat} /> },
  ];
  if (can('operate'))
    list.push({
      id: 'actions',
      name: text.actions,
      hideName: true,
      align: 'fit',
      cell: (server) => (
        <Menu
          quiet
          label={`${text.actions}: ${server.name}`}
          items={commands(server).map((what) => ({ name: text[what], act: () => void command(server, what, again), danger: what === 'drain' }))}
        />
      ),
    });
  return list;
}

export default function Servers(_: PageProps) {
  const servers = useResource<Server[]>('/api/servers', { topic: 'servers' });
  return (
    <>
      <PageHead title={text.title} sub={text.sub} />
      <Show of={servers}>
        {(list) => (
          <Table
            caption={text.caption}
            columns={columns(servers.refresh)}
            rows={list}
            id={(server) => server.id}
            to={(server) => `/servers/${encodeURIComponent(server.id)}`}
            keys={can('operate') ? { p: (server) => void command(server, server.state === 'run' ? 'quiet' : 'resume', servers.refresh) } : {}}
            empty={<NoServers />}
          />
        )}
      </Show>
    </>
  );
}

// Zero workers is a normal state; the page says why it is so, and until when.
function NoServers() {
  const stats = useStats();
  const targets = useResource<Target[]>('/api/autoscaling', { everyMs: 5_000 });
  const scheduled = stats.data?.scheduled ?? 0;
  const body = { filter: { state: ['SCHEDULED'] }, order: 'scheduledAt:ASC', limit: 1 };
  // Read again as soon as there are others.
  const next = useLoader<JobPage>(scheduled > 0 ? `next of ${scheduled}` : null, (abort) => api.post<JobPage>('/api/jobs/search', body, abort), { everyMs: 10_000 });
  const due = next.data?.items[0]?.run_at;
  const waiting = stats.data?.enqueued ?? 0;
  return (
    <div class="empty">
      <Icon name="servers" />
      <strong>{text.none}</strong>
      <p>{waiting > 0 ? text.noneWaits(waiting) : text.noneIdle}</p>
      {(targets.data ?? []).map((target) => (
        <p key={target.target}>
          <Link to={targetPath(target)}>{visible(target.target)}</Link>{' '}
          {target.decision ? visible(here(target.decision.sentence, target.decision.at)) : text.noneTarget(target.desired)}
        </p>
      ))}
      {due && <p>{text.nextDue} <RelativeTime at={due} />.</p>}
      <CommandLine text={text.command} />
    </div>
  );
}
