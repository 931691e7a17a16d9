// SPDX-License-Identifier: Apache-2.0
import { bytes, percent } from '../../lib/format';
import { visible } from '../../lib/plain';
import { useResource } from '../../lib/resource';
import type { PageProps } from '../../lib/router';
import { can } from '../../lib/session';
import type { Server } from '../../lib/types';
import { servers as text } from '../../text/servers';
import { Button, Card, CopyButton, Elapsed, EmptyState, Facts, Link, PageHead, RelativeTime, Show } from '../../ui';
import { command, commands, ServerState } from './actions';
import { Running } from './busy';
import { Slots } from './servers';

export default function ServerView({ params }: PageProps) {
  const id = params['id'] ?? '';
  const server = useResource<Server>(`/api/servers/${encodeURIComponent(id)}`, { everyMs: 2_000 });
  if (server.error?.status === 404)
    return (
      <EmptyState icon="servers" title={text.missing}>
        {text.missingHint} <Link to="/servers">{text.title}</Link>
      </EmptyState>
    );
  return <Show of={server}>{(value) => <Body server={value} again={server.refresh} />}</Show>;
}

function all(list: string[] | undefined): string {
  return visible((list ?? []).join(', ')) || text.all;
}

function Body({ server, again }: { server: Server; again: () => void }) {
  const jobs = server.jobs ?? [];
  return (
    <>
      <PageHead
        crumb={{ to: '/servers', name: text.title }}
        title={visible(server.name || server.id)}
        sub={<span class="row"><ServerState server={server} /><span class="mono muted break">{server.id}</span><CopyButton value={server.id} /></span>}
        actions={
          can('operate') &&
          commands(server).map((what) => (
            <Button key={what} icon={what === 'quiet' ? 'pause' : what === 'resume' ? 'play' : 'stop'} onClick={() => void command(server, what, again)}>
              {text[what]}
            </Button>
          ))
        }
      />
      <div class="grid-main">
        <section class="stack-s">
          <h2>{text.running}</h2>
          {jobs.length > 0 ? <Running jobs={jobs} again={again} /> : <div class="card"><EmptyState icon="busy" title={text.runningNone} /></div>}
        </section>
        <Card title={text.details}>
          <Facts
            facts={[
              [text.slots, <Slots server={server} />],
              [text.queues, all(server.queues)],
              [text.kinds, all(server.kinds)],
              [text.tags, visible((server.tags ?? []).join(', '))],
              server.version && [text.version, visible(server.version)],
              server.generation && [text.generation, visible(server.generation)],
              server.replica && [text.replica, visible(server.replica)],
              server.host && [text.host, visible(server.host)],
              server.pid !== undefined && [text.pid, server.pid],
              server.runtime && [text.runtime, visible(server.runtime)],
              [text.started, <RelativeTime at={server.firstHeartbeat} />],
              [text.beat, <Elapsed since={server.lastHeartbeat} />],
              typeof server.systemFreeMemory === 'number' && [text.memory, bytes(server.systemFreeMemory)],
              typeof server.processAllocatedMemory === 'number' && [text.processMemory, bytes(server.processAllocatedMemory)],
              typeof server.systemCpuLoad === 'number' && [text.cpu, percent(server.systemCpuLoad)],
              typeof server.processCpuLoad === 'number' && [text.processCpu, percent(server.processCpuLoad)],
            ]}
          />
        </Card>
      </div>
    </>
  );
}
