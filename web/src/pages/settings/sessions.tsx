// SPDX-License-Identifier: Apache-2.0
import { api } from '../../lib/api';
import { visible } from '../../lib/plain';
import { useResource } from '../../lib/resource';
import { can } from '../../lib/session';
import { attempt } from '../../lib/toast';
import { settings } from '../../text/settings';
import { Badge, Button, confirm, EmptyState, RelativeTime, Show, Table, type Column } from '../../ui';

const text = settings.sessions;

interface BrowserSession {
  id: string;
  user: string;
  address: string;
  startedAt: string;
  lastSeenAt: string;
  current: boolean;
}

export function Sessions() {
  const sessions = useResource<BrowserSession[]>('/api/sessions', { everyMs: 10_000 });
  const end = async (one: BrowserSession) => {
    const yes = await confirm({
      title: text.askEnd(visible(one.user)),
      what: text.endWhat,
      action: text.end,
      danger: true,
    });
    if (yes && (await attempt(() => api.remove(`/api/sessions/${encodeURIComponent(one.id)}`), text.ended))) sessions.refresh();
  };
  const columns: Column<BrowserSession>[] = [
    {
      id: 'user',
      name: text.user,
      cell: (one) => <span class="row"><strong>{visible(one.user)}</strong>{one.current && <Badge icon="check" tone="green">{text.current}</Badge>}</span>,
    },
    { id: 'address', name: text.address, align: 'fit', cell: (one) => visible(one.address) },
    { id: 'started', name: text.started, align: 'fit', cell: (one) => <RelativeTime at={one.startedAt} /> },
    { id: 'seen', name: text.seen, align: 'fit', cell: (one) => <RelativeTime at={one.lastSeenAt} /> },
  ];
  if (can('admin'))
    columns.push({
      id: 'end',
      name: text.end,
      hideName: true,
      align: 'fit',
      cell: (one) => <Button small look="danger" onClick={() => void end(one)}>{text.end}</Button>,
    });
  return (
    <Show of={sessions}>
      {(list) => (
        <Table
          caption={text.caption}
          columns={columns}
          rows={list}
          id={(one) => one.id}
          empty={<EmptyState icon="user" title={text.empty}>{text.emptyHint}</EmptyState>}
        />
      )}
    </Show>
  );
}
