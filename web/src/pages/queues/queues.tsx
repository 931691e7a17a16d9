// SPDX-License-Identifier: Apache-2.0
import { api, query } from '../../lib/api';
import { count } from '../../lib/format';
import { visible } from '../../lib/plain';
import { useLoader, useResource } from '../../lib/resource';
import type { PageProps } from '../../lib/router';
import { can } from '../../lib/session';
import type { Queue } from '../../lib/types';
import { latestOf, seriesOf, valueAt, type Series, type SeriesDocument } from '../../timeline/series';
import { queues as text } from '../../text/queues';
import { Badge, Duration, EmptyState, Link, Menu, PageHead, Show, Sparkline, Table, type Column } from '../../ui';
import { Operations } from '../jobs/operations';
import { pauseOrResume, purge } from './actions';

const kHourMs = 3_600_000;
const kPoints = 60;

// The last hour of a queue.
function useQueueSeries(queue: string): Series | undefined {
  const loaded = useLoader<Series>(
    queue,
    async (abort) => {
      const to = Date.now();
      const range = { from: new Date(to - kHourMs).toISOString(), to: new Date(to).toISOString(), step: 'PT1M' };
      return seriesOf(await api.get<SeriesDocument>(query(`/api/series/${encodeURIComponent(`queue:${queue}`)}`, range), abort));
    },
    { everyMs: 30_000 },
  );
  return loaded.data;
}

function sampled(series: Series, track: string): (number | null)[] {
  const step = (series.to - series.from) / kPoints;
  return Array.from({ length: kPoints }, (_, i) => {
    const value = valueAt(series, track, series.from + (i + 0.5) * step);
    return Number.isNaN(value) ? null : value;
  });
}

function Trend({ queue }: { queue: string }) {
  const series = useQueueSeries(queue);
  const waits = series ? sampled(series, 'oldestWaitMs') : [];
  return waits.some((wait) => wait !== null) ? <Sparkline values={waits} label={text.trendLabel(queue)} /> : <span class="muted">–</span>;
}

function rate(series: Series | undefined, track: string): string {
  const value = series ? latestOf(series, track) : NaN;
  if (Number.isNaN(value)) return '–';
  return text.perSecond(value < 10 ? value.toFixed(1) : String(Math.round(value)));
}

function Rates({ queue }: { queue: string }) {
  const series = useQueueSeries(queue);
  return <span class="nowrap">{rate(series, 'arrivals')} · {rate(series, 'completions')}</span>;
}

export function QueueState({ queue }: { queue: Queue }) {
  return queue.paused ? <Badge icon="pause" tone="amber">{text.paused}</Badge> : <Badge icon="play" tone="green">{text.open}</Badge>;
}

function columns(again: () => void): Column<Queue>[] {
  const operate = can('operate');
  const admin = can('admin');
  const list: Column<Queue>[] = [
    { id: 'rank', name: text.rank, align: 'num', cell: (queue) => queue.priority },
    { id: 'name', name: text.name, cell: (queue) => <Link class="cell-title plain" to={`/queues/${encodeURIComponent(queue.queue)}`}>{visible(queue.queue)}</Link> },
    { id: 'state', name: text.state, align: 'fit', cell: (queue) => <QueueState queue={queue} /> },
    { id: 'enqueued', name: text.enqueued, align: 'num', cell: (queue) => <Link class="plain" to={`/jobs?state=ENQUEUED&queue=${encodeURIComponent(queue.queue)}`}>{count(queue.enqueued)}</Link> },
    { id: 'consumable', name: text.consumable, align: 'num', cell: (queue) => <span title={text.consumableHint}>{count(queue.consumable)}</span> },
    { id: 'processing', name: text.processing, align: 'num', cell: (queue) => count(queue.processing) },
    { id: 'scheduled', name: text.scheduled, align: 'num', cell: (queue) => count(queue.scheduled) },
    { id: 'oldest', name: text.oldest, align: 'num', cell: (queue) => <Duration ms={queue.enqueued > 0 ? queue.oldestMs : undefined} /> },
    { id: 'trend', name: text.trend, align: 'fit', cell: (queue) => <Trend queue={queue.queue} /> },
    { id: 'rates', name: `${text.arrivals} · ${text.completions}`, align: 'num', cell: (queue) => <Rates queue={queue.queue} /> },
  ];
  if (operate)
    list.push({
      id: 'actions',
      name: text.actions,
      hideName: true,
      align: 'fit',
      cell: (queue) => (
        <Menu
          quiet
          label={`${text.actions}: ${queue.queue}`}
          items={[
            { name: queue.paused ? text.resume : text.pause, act: () => void pauseOrResume(queue, again) },
            admin && { name: `${text.purge}…`, act: () => void purge(queue), danger: true },
          ]}
        />
      ),
    });
  return list;
}

export default function Queues(_: PageProps) {
  const queues = useResource<Queue[]>('/api/queues', { everyMs: 3_000 });
  return (
    <>
      <PageHead title={text.title} sub={text.sub} />
      <Operations onEnd={queues.refresh} />
      <Show of={queues}>
        {(list) => (
          <Table
            caption={text.caption}
            columns={columns(queues.refresh)}
            rows={[...list].sort((a, b) => a.priority - b.priority || a.queue.localeCompare(b.queue))}
            id={(queue) => queue.queue}
            to={(queue) => `/queues/${encodeURIComponent(queue.queue)}`}
            keys={can('operate') ? { p: (queue) => void pauseOrResume(queue, queues.refresh) } : {}}
            empty={<EmptyState icon="queues" title={text.empty} command={text.emptyCommand}>{text.emptyHint}</EmptyState>}
          />
        )}
      </Show>
    </>
  );
}
