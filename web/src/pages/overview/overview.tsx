// SPDX-License-Identifier: Apache-2.0
import { api, query } from '../../lib/api';
import { bytes, clock, count, duration, ms, percent } from '../../lib/format';
import { now } from '../../lib/now';
import { visible } from '../../lib/plain';
import { useLoader, useResource } from '../../lib/resource';
import type { PageProps } from '../../lib/router';
import type { Stats, Target } from '../../lib/types';
import { ProblemList, useProblems } from '../../shell/bell';
import { useStats } from '../../shell/stats';
import { here } from '../../timeline/format';
import { seriesOf, valueAt, type SeriesDocument } from '../../timeline/series';
import { overview as text } from '../../text/overview';
import { Badge, Card, Duration, EmptyState, Figure, Figures, Icon, Link, Notice, PageHead, Show } from '../../ui';
import { BarGraph, type Bar } from '../../ui/bar_graph';
import './overview.css';

export default function Overview(_: PageProps) {
  const stats = useStats();
  const problems = useProblems();
  const targets = useResource<Target[]>('/api/autoscaling', { everyMs: 5_000 });
  const open = problems.data ?? [];
  return (
    <>
      <PageHead title={text.title} />
      <Show of={stats} rows={6}>
        {(value) => (
          <>
            <Idle stats={value} scaled={(targets.data ?? []).length > 0} />
            <Numbers stats={value} />
          </>
        )}
      </Show>
      <Throughput />
      <Targets targets={targets.data ?? []} />
      {open.length > 0 && (
        <Card title={text.problems}>
          <ProblemList problems={open} refresh={problems.refresh} />
        </Card>
      )}
    </>
  );
}

function Idle({ stats, scaled }: { stats: Stats; scaled: boolean }) {
  if (stats.backgroundJobServers > 0 || stats.enqueued === 0) return null;
  return (
    <Notice kind={scaled ? 'info' : 'warning'}>
      {text.idle(stats.enqueued)} {scaled ? text.idleScaled : text.idleAlone}
    </Notice>
  );
}

function Left({ stats }: { stats: Stats }) {
  const { estimation } = stats;
  const until = ms(estimation?.estimatedProcessingFinishedAt);
  if (estimation?.processingDone) return <Figure name={text.left} value="–" note={text.leftDone} />;
  if (until === undefined) return <Figure name={text.left} value="–" note={text.leftUnknown} />;
  const left = Math.max(0, until - now.value);
  return <Figure name={text.left} value={duration(left)} note={text.leftNote(clock(until))} />;
}

function Numbers({ stats }: { stats: Stats }) {
  const { occupiedWorkers: busy = 0, totalWorkers: slots = 0 } = stats;
  const failed = stats.failedLastHour ?? 0;
  return (
    <Figures>
      <Figure name={<><Icon name="inbox" />{text.enqueued}</>} value={count(stats.enqueued)} to="/jobs?state=ENQUEUED" note={stats.oldestWaitMs ? <>{text.oldest} {duration(stats.oldestWaitMs)}</> : text.oldestNone} />
      <Figure name={<><Icon name="play" />{text.processing}</>} value={count(stats.processing)} to="/jobs?state=PROCESSING" />
      <Figure name={<><Icon name="clock" />{text.scheduled}</>} value={count(stats.scheduled)} to="/jobs?state=SCHEDULED" />
      <Figure name={<><Icon name="cross-circle" />{text.failedHour}</>} value={count(failed)} bad={failed > 0} to="/failures" note={text.failedAll(count(stats.failed))} />
      <Left stats={stats} />
      <Figure name={<><Icon name="servers" />{text.servers}</>} value={count(stats.backgroundJobServers)} to="/servers" />
      <Figure name={text.workers} value={`${count(busy)} / ${count(slots)}`} note={slots > 0 ? percent(busy / slots) : undefined} to="/busy" />
      <Figure name={text.oldest} value={stats.oldestWaitMs === undefined ? '–' : <Duration ms={stats.oldestWaitMs} />} to="/queues" />
      <Figure name={text.cpu} value={percent(stats.systemCpuLoad)} />
      <Figure name={text.memory} value={bytes(stats.processMemory)} />
      <Figure name={text.free} value={bytes(stats.freeMemory)} />
      <Figure name={text.uptime} value={stats.uptimeMs === undefined ? '–' : <Duration ms={stats.uptimeMs} />} />
    </Figures>
  );
}

const kBars = 200;
const kStepMs = 10_000; // the finest that is kept

// One value a bar: what held at its middle. What is not known is no zero.
function bars(document: SeriesDocument): Bar[] {
  const series = seriesOf(document);
  const known = (track: string, t: number) => {
    const value = valueAt(series, track, t);
    return Number.isNaN(value) ? null : value;
  };
  return Array.from({ length: kBars }, (_, i) => {
    const at = series.from + i * kStepMs;
    return { at, good: known('succeeded', at + kStepMs / 2), bad: known('failed', at + kStepMs / 2) };
  });
}

function latest(abort: AbortSignal): Promise<SeriesDocument> {
  const to = Date.now();
  const from = new Date(to - kBars * kStepMs).toISOString();
  return api.get<SeriesDocument>(query('/api/series/jobs', { from, to: new Date(to).toISOString(), step: 'PT10S' }), abort);
}

function Throughput() {
  const series = useLoader<SeriesDocument>('jobs', latest, { everyMs: kStepMs });
  return (
    <Card title={text.graph}>
      <Show of={series}>{(value) => <Graph bars={bars(value)} />}</Show>
    </Card>
  );
}

function Graph({ bars: shown }: { bars: Bar[] }) {
  const [first, last] = [shown[0], shown[shown.length - 1]];
  const some = shown.some((bar) => (bar.good ?? 0) + (bar.bad ?? 0) > 0);
  if (!first || !last || !some) return <EmptyState icon="overview" title={text.graphEmpty} command={text.graphCommand} />;
  const sum = (of: (bar: Bar) => number | null) =>
    count(Math.round(shown.reduce((all, bar) => all + (of(bar) ?? 0), 0) * (kStepMs / 1_000)));
  const summary = text.graphText(sum((bar) => bar.good), sum((bar) => bar.bad), duration(last.at - first.at));
  return (
    <>
      <BarGraph bars={shown} label={summary} names={[text.succeeded, text.failed]} unit={text.perSecond} />
      <p class="small muted">{summary}</p>
      <details>
        <summary>{text.graphTable}</summary>
        <div class="scroll" tabIndex={0} role="region" aria-label={text.graph}>
          <table class="table">
            <caption class="sr">{summary}</caption>
            <thead>
              <tr>
                <th scope="col">{text.from}</th>
                <th scope="col" class="num">{text.succeeded} {text.perSecond}</th>
                <th scope="col" class="num">{text.failed} {text.perSecond}</th>
              </tr>
            </thead>
            <tbody>
              {[...shown].reverse().map((bar) => (
                <tr key={bar.at}>
                  <td>{clock(bar.at)}</td>
                  <td class="num">{bar.good?.toFixed(2) ?? '–'}</td>
                  <td class="num">{bar.bad?.toFixed(2) ?? '–'}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </>
  );
}

function Targets({ targets }: { targets: Target[] }) {
  if (targets.length === 0) return null;
  return (
    <Card title={text.autoscaling} flush>
      <ul class="targets">
        {targets.map((target) => (
          <li key={target.target}>
            <Link class="target" to={`/autoscaling/${encodeURIComponent(target.target)}`}>
              <span class="strong break">{visible(target.target)}</span>
              <span class="row small">
                <span><b>{target.desired}</b> {text.desired}</span>
                <span><b>{target.ready}</b> {text.ready}</span>
                {target.starting > 0 && <span><b>{target.starting}</b> {text.starting}</span>}
                {target.draining > 0 && <span><b>{target.draining}</b> {text.draining}</span>}
                <span class="muted">{target.min}–{target.max}</span>
                {target.paused && <Badge icon="pause" tone="amber">{text.pausedAt(target.paused.replicas)}</Badge>}
                {(target.warnings?.length ?? 0) > 0 && <Badge icon="warning" tone="amber">{target.warnings?.length}</Badge>}
              </span>
              {target.decision && <span class="small muted break">{visible(here(target.decision.sentence, target.decision.at))}</span>}
            </Link>
          </li>
        ))}
      </ul>
    </Card>
  );
}
