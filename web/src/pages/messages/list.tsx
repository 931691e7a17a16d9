// SPDX-License-Identifier: Apache-2.0
import { bytes, count } from '../../lib/format';
import { visible } from '../../lib/plain';
import { useResource } from '../../lib/resource';
import { messages as words } from '../../text/messages';
import { Badge, Card, EmptyState, Link, PageHead, RelativeTime, Show, Table, type Column } from '../../ui';
import { deadLetterPath, entityPath, type Entity, type Namespace } from './message';
import { StatusBadge } from './parts';

const place = ({ namespace, name }: Entity) => ({ namespace, entity: name });

const kColumns: Column<Entity>[] = [
  {
    id: 'name', name: words.columns.name,
    cell: (entity) => (
      <span class="row">
        <Link class="cell-title plain" to={entityPath(place(entity))}>{visible(entity.name)}</Link>
        {entity.sessions && <Badge>{words.sessions}</Badge>}
      </span>
    ),
  },
  { id: 'status', name: words.columns.status, align: 'fit', cell: ({ status }) => <StatusBadge status={status} /> },
  { id: 'active', name: words.columns.active, align: 'num', cell: ({ active }) => <b>{count(active)}</b> },
  { id: 'locked', name: words.columns.locked, align: 'num', cell: ({ locked }) => count(locked) },
  { id: 'scheduled', name: words.columns.scheduled, align: 'num', cell: ({ scheduled }) => count(scheduled) },
  { id: 'deferred', name: words.columns.deferred, align: 'num', cell: ({ deferred }) => count(deferred) },
  {
    id: 'dead', name: words.columns.dead, align: 'num',
    cell: (entity) => entity.deadLetter === 0
      ? <span class="muted">0</span>
      : <Link to={deadLetterPath(place(entity))}><Badge tone="red" icon="warning">{count(entity.deadLetter)}</Badge></Link>,
  },
  { id: 'size', name: words.columns.size, align: 'num', cell: ({ sizeBytes }) => bytes(sizeBytes) },
  { id: 'accessed', name: words.columns.accessed, cell: ({ accessedAt }) => <RelativeTime at={accessedAt} /> },
];

export default function Messages() {
  const namespaces = useResource<Namespace[]>('/api/messages', { everyMs: 3_000 });
  if (namespaces.error?.status === 404 && !namespaces.data)
    return (
      <>
        <PageHead title={words.title} sub={words.sub} />
        <Card><EmptyState icon="messages" title={words.off} command={words.offCommand}>{words.offHint}</EmptyState></Card>
      </>
    );
  return (
    <>
      <PageHead title={words.title} sub={words.sub} />
      <Show of={namespaces}>
        {(list) => (
          <div class="stack">
            {list.length === 0 && <Card><EmptyState icon="messages" title={words.empty} command={words.emptyCommand}>{words.emptyHint}</EmptyState></Card>}
            {list.map(({ namespace, entities }) => (
              <Card key={namespace} title={visible(namespace)} flush>
                <Table
                  caption={words.caption(namespace)} columns={kColumns} rows={entities} id={({ name }) => name} to={(entity) => entityPath(place(entity))}
                  empty={<EmptyState icon="inbox" title={words.noQueues} command={words.queueCommand(namespace)} />}
                />
              </Card>
            ))}
          </div>
        )}
      </Show>
    </>
  );
}
