// SPDX-License-Identifier: Apache-2.0
import { useState } from 'preact/hooks';
import { count, exactInstant, ms, sentence } from '../../lib/format';
import { useShortcuts } from '../../lib/keys';
import { visible } from '../../lib/plain';
import { useResource } from '../../lib/resource';
import { navigate, type PageProps } from '../../lib/router';
import { can } from '../../lib/session';
import type { Job, Preview, Recurring } from '../../lib/types';
import { recurring as text } from '../../text/recurring';
import {
  Badge, Button, Card, EmptyState, Facts, Json, Labels, Link, Menu, Notice, PageHead, RelativeTime, Show, stateLook,
} from '../../ui';
import { command, items, pathOf } from './actions';
import { FireTimes } from './fire_times';
import { RecurringForm } from './form';
import './recurring.css';

export default function RecurringView({ params }: PageProps) {
  const id = params['id'] ?? '';
  const job = useResource<Recurring>(`/v1/recurring/${encodeURIComponent(id)}`, { everyMs: 5_000 });
  if (job.error?.status === 404)
    return (
      <EmptyState icon="recurring" title={text.missing}>
        <Link to="/recurring-jobs">{text.title}</Link>
      </EmptyState>
    );
  return <Show of={job}>{(value) => <Body job={value} again={job.refresh} />}</Show>;
}

function Body({ job, again }: { job: Recurring; again: () => void }) {
  const [editing, setEditing] = useState(false);
  const preview = useResource<Preview>(`${pathOf(job.id, 'preview')}?n=20`);
  const runs = useResource<{ items: Job[] }>(`${pathOf(job.id, 'runs')}?limit=100`, { everyMs: 5_000 });
  const operate = can('operate');
  const refresh = () => {
    again();
    preview.refresh();
    runs.refresh();
  };
  const act = (what: 'trigger' | 'pause' | 'resume') => void command(what, [job.id]).then((yes) => yes && refresh());
  const toggle = () => act(job.paused ? 'resume' : 'pause');
  useShortcuts({ p: () => (operate ? toggle() : false) });
  const [, ...rest] = items(job, () => navigate('/recurring-jobs'), () => setEditing(true));
  const spec = job.spec ?? {};
  return (
    <>
      <PageHead
        crumb={{ to: '/recurring-jobs', name: text.title }}
        title={visible(job.jobName || job.id)}
        sub={
          <span class="row">
            {job.paused ? <Badge icon="pause" tone="amber">{text.paused}</Badge> : <Badge icon="play" tone="green">{text.active}</Badge>}
            <span>{visible(sentence(preview.data?.human ?? job.scheduleExpression))}</span>
            <Labels labels={job.labels} />
          </span>
        }
        actions={
          <>
            {operate && <Button icon="play" onClick={() => act('trigger')}>{text.trigger}</Button>}
            {operate && <Button icon={job.paused ? 'play' : 'pause'} onClick={toggle}>{job.paused ? text.resume : text.pause}</Button>}
            <Menu label={text.actions} items={rest.slice(1)} />
          </>
        }
      />
      {(job.skippedRuns ?? 0) > 0 && <Notice kind="info">{text.skippedNote(job.skippedRuns ?? 0, visible(job.lastSkipReason ?? ''))} <RelativeTime at={job.lastSkipped} /></Notice>}
      {(job.missedRuns ?? 0) > 0 && <Notice kind="warning">{text.missedNote(job.missedRuns ?? 0)}</Notice>}
      <div class="grid-main">
        <div class="stack">
          <Card title={text.pastRuns}><Show of={runs} rows={2}>{(value) => <Runs jobs={value.items} />}</Show></Card>
          <Card title={text.fireTimes} flush><Show of={preview}>{(value) => <FireTimes times={value.next} zone={job.zoneId} label={text.fireTimes} />}</Show></Card>
        </div>
        <aside class="stack">
          <Card title={text.details}>
            <Facts
              facts={[
                [text.schedule, <code>{visible(job.scheduleExpression)}</code>],
                [text.zone, visible(job.zoneId)],
                [text.next, job.paused ? text.paused : <RelativeTime at={job.nextRun} />],
                [text.last, <RelativeTime at={job.lastRun} />],
                [text.runs, <Link to={`/jobs?state=ALL&recurringId=${encodeURIComponent(job.id)}`}>{count(job.runs)}</Link>],
                [text.kind, <code>{visible(String(spec['kind'] ?? ''))}</code>],
                spec['queue'] !== undefined && [text.queue, visible(String(spec['queue']))],
                [text.misfire, `${text.missedChoices[job.missed ?? ''] ?? job.missed ?? ''}${job.missedWithin ? `, ${text.within} ${job.missedWithin}` : ''}`],
                [text.dst, text.dstChoices[job.dst ?? ''] ?? job.dst],
                [text.concurrent, job.maxConcurrent],
                [text.created, <><RelativeTime at={job.createdAt} /> {job.createdBy && `${text.createdBy} ${visible(job.createdBy)}`}</>],
              ]}
            />
          </Card>
          <Card title={text.arguments}><Json value={spec['named'] ?? spec['args'] ?? []} label={text.arguments} /></Card>
        </aside>
      </div>
      {editing && <RecurringForm job={job} close={() => setEditing(false)} done={refresh} />}
    </>
  );
}

// One box a run, the oldest first; shape and title say the outcome as well as the colour.
function Runs({ jobs }: { jobs: Job[] }) {
  const begun = jobs.filter((job) => job.state !== 'SCHEDULED').sort((a, b) => (a.created_at < b.created_at ? -1 : 1));
  if (begun.length === 0) return <EmptyState icon="recurring" title={text.pastNone} />;
  return (
    <div class="stack-s">
      <p class="small muted">{text.pastHint}</p>
      <ul class="runs">
        {begun.map((job) => {
          const look = stateLook(job.state);
          const title = `${look.name} · ${exactInstant(ms(job.created_at) ?? 0)}`;
          return (
            <li key={job.id}>
              <Link class={`run ${look.tone} ${job.state}`} to={`/jobs/${job.id}`} title={title} aria-label={title}>
                <span aria-hidden="true">{job.state === 'FAILED' ? '×' : job.state === 'SUCCEEDED' ? '' : '·'}</span>
              </Link>
            </li>
          );
        })}
      </ul>
    </div>
  );
}
