// SPDX-License-Identifier: Apache-2.0
import { useState } from 'preact/hooks';
import { api, query as apiQuery } from '../../lib/api';
import { count } from '../../lib/format';
import { useShortcuts } from '../../lib/keys';
import { visible } from '../../lib/plain';
import { useLoader, useResource } from '../../lib/resource';
import { place, setQuery, type PageProps } from '../../lib/router';
import { can } from '../../lib/session';
import type { Queue } from '../../lib/types';
import { queues as text } from '../../text/queues';
import { kPresets, presetQuery, rangeOf } from '../../timeline/range';
import { seriesOf, type SeriesDocument } from '../../timeline/series';
import { Timeline } from '../../timeline/timeline';
import { kRows } from '../../timeline/tracks';
import '../../timeline/timeline.css';
import { Button, Card, Duration, Figure, Figures, Notice, PageHead, Segments, Show } from '../../ui';
import { Operations } from '../jobs/operations';
import { pauseOrResume, purge } from './actions';
import { QueueState } from './queues';

export default function QueueView({ params }: PageProps) {
  const name = params['name'] ?? '';
  const queue = useResource<Queue>(`/api/queues/${encodeURIComponent(name)}`, { topic: `queue:${name}` });
  return <Show of={queue}>{(value) => <Body queue={value} again={queue.refresh} />}</Show>;
}

function Body({ queue, again }: { queue: Queue; again: () => void }) {
  const operate = can('operate');
  const toggle = () => void pauseOrResume(queue, again);
  useShortcuts({ p: () => (operate ? toggle() : false) });
  const of = (state: string) => `/jobs?state=${state}&queue=${encodeURIComponent(queue.queue)}`;
  return (
    <>
      <PageHead
        crumb={{ to: '/queues', name: text.title }}
        title={visible(queue.queue)}
        sub={<span class="row"><QueueState queue={queue} /> {text.rank} {queue.priority}</span>}
        actions={
          operate && (
            <>
              <Button icon={queue.paused ? 'play' : 'pause'} onClick={toggle}>{queue.paused ? text.resume : text.pause}</Button>
              {can('admin') && <Button look="danger" icon="trash" onClick={() => void purge(queue)}>{text.purge}</Button>}
            </>
          )
        }
      />
      <Operations onEnd={again} />
      {queue.paused && <Notice kind="warning" icon="pause">{text.pauseWhat}</Notice>}
      <Figures>
        <Figure name={text.enqueued} value={count(queue.enqueued)} to={of('ENQUEUED')} />
        <Figure name={text.consumable} value={count(queue.consumable)} note={text.consumableHint} />
        <Figure name={text.processing} value={count(queue.processing)} to={of('PROCESSING')} />
        <Figure name={text.scheduled} value={count(queue.scheduled)} to={of('SCHEDULED')} />
        <Figure name={text.oldest} value={<Duration ms={queue.enqueued > 0 ? queue.oldestMs : undefined} />} />
        <Figure name={text.succeeded} value={count(queue.succeeded)} to={of('SUCCEEDED')} />
        <Figure name={text.failed} value={count(queue.failed)} bad={(queue.failed ?? 0) > 0} to={of('FAILED')} />
      </Figures>
      <OverTime queue={queue.queue} />
    </>
  );
}

const kShownRows = kRows.filter(({ name }) => ['arrivals', 'backlog', 'inflight', 'wait'].includes(name));
const kEveryMs = 10_000;

// What came, waited and ran, on one axis; a click asks nothing here, for a queue is not scaled.
function OverTime({ queue }: { queue: string }) {
  const [at, setAt] = useState<number | null>(null);
  const { query } = place.value;
  const key = `${queue} ${query.get('range') ?? ''} ${query.get('from') ?? ''} ${query.get('to') ?? ''}`;
  const loaded = useLoader(
    key,
    async (abort) => {
      const range = rangeOf(query, Date.now());
      const path = `/api/series/${encodeURIComponent(`queue:${queue}`)}`;
      const asked = { from: new Date(range.from).toISOString(), to: new Date(Math.min(range.to, range.now)).toISOString() };
      return { range, series: seriesOf(await api.get<SeriesDocument>(apiQuery(path, asked), abort)) };
    },
    { everyMs: kEveryMs },
  );
  const { follows } = rangeOf(query, 0);
  return (
    <Card
      title={text.overTime}
      actions={
        <Segments
          label={text.range}
          value={follows ?? ''}
          choices={kPresets.map(({ name, label }) => ({ value: name, name: label }))}
          onChange={(name) => setQuery(presetQuery(name), { replace: true })}
        />
      }
    >
      <Show of={loaded}>
        {({ range, series }) => (
          <Timeline
            bare
            label={text.overTimeOf(queue)}
            series={series}
            range={range}
            rows={kShownRows}
            decision={null}
            at={at}
            onDecision={() => undefined}
            onAt={setAt}
            onRange={(change) => setQuery(change, { replace: true })}
            onTable={() => undefined}
          />
        )}
      </Show>
    </Card>
  );
}
