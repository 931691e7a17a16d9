// SPDX-License-Identifier: Apache-2.0
import { api, query } from '../../lib/api';
import { duration, ms } from '../../lib/format';
import { visible } from '../../lib/plain';
import { now } from '../../lib/now';
import { useLoader } from '../../lib/resource';
import type { PageProps } from '../../lib/router';
import { can } from '../../lib/session';
import { useSteady } from '../../lib/steady';
import type { Job, JobPage } from '../../lib/types';
import { text as common } from '../../text/common';
import { busy as text } from '../../text/servers';
import { Badge, Button, Elapsed, EmptyState, Link, PageHead, ProgressBar, Show, Table, type Column } from '../../ui';
import { deleteOne } from '../jobs/bulk';
import './servers.css';

const kMost = 200;
const kRuns = 100;
const kFewRuns = 5; // fewer say nothing of what is usual

interface PastRuns {
  items: { jobHistory: { state: string; processDuration?: number }[] }[];
}

function p95(runs: PastRuns): number | undefined {
  const took = runs.items
    .flatMap((job) => job.jobHistory.filter((event) => event.state === 'SUCCEEDED').slice(-1))
    .flatMap((event) => (event.processDuration === undefined ? [] : [Number(event.processDuration) * 1_000]))
    .sort((a, b) => a - b);
  return took.length < kFewRuns ? undefined : took[Math.ceil(took.length * 0.95) - 1];
}

// How long jobs of these kinds take: the 95th percentile of those that ended last.
function useUsual(kinds: string[]): Map<string, number> {
  const usual = useLoader<Map<string, number>>(kinds.length > 0 ? kinds.join() : null, async (abort) => {
    const known = new Map<string, number>();
    for (const kind of kinds) {
      const past = query('/api/jobs', { state: 'SUCCEEDED', kind, order: 'updatedAt:DESC', limit: kRuns });
      const usually = p95(await api.get<PastRuns>(past, abort));
      if (usually !== undefined) known.set(kind, usually);
    }
    return known;
  });
  return usual.data ?? new Map();
}

function Against({ job, usual }: { job: Job; usual: number | undefined }) {
  if (usual === undefined) return null;
  const ran = now.value - (ms(job.updated_at) ?? now.value);
  return (
    <span class="cell-sub">
      {text.against(duration(usual))} {ran > usual && <Badge icon="clock" tone="amber">{text.over}</Badge>}
    </span>
  );
}

export function Running({ jobs, again, gone }: { jobs: Job[]; again: () => void; gone?: Set<string> }) {
  const usual = useUsual([...new Set(jobs.map((job) => job.kind))].sort());
  const operate = can('operate');
  const cancel = (job: Job) => void deleteOne(job.id, 'PROCESSING').then((yes) => yes && again());
  const columns: Column<Job>[] = [
    {
      id: 'job',
      name: text.job,
      cell: (job) => (
        <div class={`cell-main${gone?.has(job.id) ? ' gone' : ''}`}>
          <Link class="cell-title plain" to={`/jobs/${job.id}`}>{visible(job.name || job.kind)}</Link>
          <span class="cell-sub">{visible(job.kind)} · <code>{job.id.slice(-12)}</code></span>
        </div>
      ),
    },
    { id: 'queue', name: text.queue, align: 'fit', cell: (job) => visible(job.queue) },
    { id: 'attempt', name: text.attempt, align: 'num', cell: (job) => `${job.attempt} / ${job.max_attempts}` },
    {
      id: 'elapsed',
      name: text.elapsed,
      align: 'fit',
      cell: (job) => (
        <div class="cell-main">
          <span class="strong">{gone?.has(job.id) ? text.ended : <Elapsed since={job.updated_at} />}</span>
          {!gone?.has(job.id) && <Against job={job} usual={usual.get(job.kind)} />}
        </div>
      ),
    },
    {
      id: 'progress',
      name: text.progress,
      align: 'fit',
      cell: (job) =>
        job.progress && (
          <span class="slots">
            <ProgressBar done={job.progress.done} failed={job.progress.failed} total={job.progress.total} label={`${text.progress}: ${job.name || job.kind}`} />
            {job.progress.percent} %
          </span>
        ),
    },
  ];
  if (operate)
    columns.push({
      id: 'cancel',
      name: text.cancel,
      hideName: true,
      align: 'fit',
      cell: (job) => <Button small look="danger" icon="stop" onClick={() => cancel(job)}>{text.cancel}</Button>,
    });
  return (
    <Table
      caption={text.caption}
      columns={columns}
      rows={jobs}
      id={(job) => job.id}
      to={(job) => `/jobs/${job.id}`}
      keys={operate ? { d: cancel } : {}}
      empty={<EmptyState icon="busy" title={text.none} command="jobmill worker -- ./run-job.sh">{text.noneHint}</EmptyState>}
    />
  );
}

export default function Busy(_: PageProps) {
  const body = { filter: { state: ['PROCESSING'] }, order: 'updatedAt:ASC', limit: kMost };
  const page = useLoader<JobPage>('busy', (abort) => api.post<JobPage>('/api/jobs/search', body, abort), { everyMs: 2_000 });
  const steady = useSteady('busy', page.data?.items, (job) => job.id);
  const current = steady.rows.filter((job) => !steady.gone.has(job.id)).length === 0;
  // When all that is shown has ended there is nothing to keep in its place.
  const rows = current ? (page.data?.items ?? []) : steady.rows;
  return (
    <>
      <PageHead
        title={text.title}
        sub={text.sub}
        actions={steady.newer > 0 && !current && <Button icon="up" onClick={steady.show}>{common.list.newer(steady.newer)}</Button>}
      />
      <Show of={page}>{() => <Running jobs={rows} again={page.refresh} gone={steady.gone} />}</Show>
    </>
  );
}
