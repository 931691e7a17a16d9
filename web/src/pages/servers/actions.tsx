// SPDX-License-Identifier: Apache-2.0
import { api } from '../../lib/api';
import { visible } from '../../lib/plain';
import { attempt } from '../../lib/toast';
import type { Server } from '../../lib/types';
import { servers as text } from '../../text/servers';
import { Badge, confirm, RelativeTime } from '../../ui';

export type Command = 'quiet' | 'resume' | 'drain';

export async function command(server: Server, what: Command, again: () => void): Promise<void> {
  if (what === 'drain') {
    const yes = await confirm({
      title: text.askDrain(visible(server.name || server.id)),
      what: text.drainWhat,
      action: text.drain,
      danger: true,
      reversible: text.drainBack,
    });
    if (!yes) return;
  }
  const path = `/api/servers/${encodeURIComponent(server.id)}/${what}`;
  if (await attempt(() => api.post(path), text.done[what])) again();
}

export function commands(server: Server): Command[] {
  if (server.state === 'run') return ['quiet', 'drain'];
  return server.state === 'quiet' ? ['resume', 'drain'] : ['resume'];
}

export function ServerState({ server }: { server: Server }) {
  const name = text.states[server.state] ?? server.state;
  const hint = text.stateHints[server.state] ?? '';
  if (server.state === 'run') return <Badge icon="play" tone="green" title={hint}>{name}</Badge>;
  return (
    <Badge icon={server.state === 'quiet' ? 'pause' : 'stop'} tone="amber" title={hint}>
      {name}
      {server.drainDeadline && <> {text.until} <RelativeTime at={server.drainDeadline} /></>}
    </Badge>
  );
}
