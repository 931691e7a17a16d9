// SPDX-License-Identifier: Apache-2.0
// One job: what was called, what became of it and why, and what can be done about it.
import { useEffect, useState } from 'preact/hooks';
import { api, asApiError, type ApiError } from '../../lib/api';
import { pollTick, subscribe } from '../../lib/live';
import { visible } from '../../lib/plain';
import { useResource } from '../../lib/resource';
import { navigate, param, setQuery, type PageProps } from '../../lib/router';
import { can } from '../../lib/session';
import { canRequeue, canSchedule } from '../../lib/states';
import { toast } from '../../lib/toast';
import type { Job, JobEvent, LogLine, LogPage, Queue } from '../../lib/types';
import { useShortcuts } from '../../lib/keys';
import { text as common } from '../../text/common';
import { job as text, jobs as words } from '../../text/jobs';
import {
  Button, Card, copyText, CopyButton, Dialog, Duration, Elapsed, EmptyState, ErrorNotice, Facts,
  Field, Json, Labels, Link, LogConsole, Menu, Notice, PageHead, ProgressBar, RelativeTime, Segments,
  Show, StateBadge,
} from '../../ui';
import { AskParameters, bulk, deleteOne, mayDelete, requeueOne, scheduleOne } from './bulk';
import { parsedArguments } from './enqueue';
import { Operations } from './operations';
import { ErrorBox, Timeline } from './timeline';
import './jobs.css';

export default function JobView({ params }: PageProps) {
  const id = params['id'] ?? '';
  const path = `/v1/jobs/${encodeURIComponent(id)}`;
  const resource = useResource<Job>(`${path}?history=1`, { topic: `job:${id}` });
  const name = resource.data && (resource.data.name || resource.data.kind);
  useEffect(() => {
    if (name) document.title = `${visible(name)} · ${common.product}`;
  }, [name]);
  if (resource.error?.status === 404 && !resource.data)
    return (
      <EmptyState icon="search" title={text.missing}>
        {text.missingHint} <Link to="/jobs">{text.back}</Link>
      </EmptyState>
    );
  return <Show of={resource}>{(job) => <Body job={job} path={path} again={resource.refresh} />}</Show>;
}

function Body({ job, path, again }: { job: Job; path: string; again: () => void }) {
  const history = job.history ?? [];
  const last = history[history.length - 1];
  const attempts = attemptsOf(history);
  const failure = job.state === 'FAILED' || job.state === 'SCHEDULED' ? [...history].reverse().find((event) => event.state === 'FAILED') : undefined;
  const active = job.state === 'PROCESSING';
  return (
    <>
      <PageHead
        crumb={{ to: `/jobs?state=${job.state}`, name: text.back }}
        title={visible(job.name || job.kind)}
        sub={
          <span class="row">
            <StateBadge state={job.state} />
            <span class="mono muted">{job.id}</span>
            <CopyButton value={job.id} />
            <Labels labels={job.labels} />
          </span>
        }
        actions={<Actions job={job} again={again} />}
      />
      <Operations onEnd={again} />
      {last?.crash && <Notice kind="error">{text.quarantined}</Notice>}
      {active && job.progress && (
        <Card title={`${text.progress}: ${job.progress.percent} %`}>
          <ProgressBar done={job.progress.done} failed={job.progress.failed} total={job.progress.total} label={text.progress} />
        </Card>
      )}
      <div class="grid-main">
        <div class="stack">
          {failure && <Card title={text.error}><ErrorBox event={failure} /></Card>}
          <Call job={job} />
          <Outcome job={job} path={path} />
          {attempts.length > 0 && <Logs job={job} path={path} attempts={attempts} />}
          <History history={history} />
        </div>
        <aside class="stack">
          <Details job={job} history={history} />
          {job.meta && Object.keys(job.meta).length > 0 && <Card title={text.metadata}><Json value={job.meta} label={text.metadata} /></Card>}
        </aside>
      </div>
    </>
  );
}

// --- actions ----------------------------------------------------------------------------------

function shellQuote(value: string): string {
  return `'${value.replaceAll("'", "'\\''")}'`;
}

function argumentsOf(job: Job): unknown {
  return job.named ?? job.args ?? [];
}

function asCommand(job: Job): string {
  const parts = ['jobmill job enqueue', shellQuote(job.kind), shellQuote(JSON.stringify(argumentsOf(job)))];
  if (job.queue !== 'default') parts.push('--queue', shellQuote(job.queue));
  if (job.priority) parts.push('--priority', String(job.priority));
  job.labels.forEach((label) => parts.push('--label', shellQuote(label)));
  return parts.join(' ');
}

function asCurl(job: Job): string {
  const spec = {
    kind: job.kind,
    ...(job.named ? { named: job.named } : { args: job.args ?? [] }),
    queue: job.queue,
    ...(job.labels.length > 0 && { labels: job.labels }),
    ...(job.priority && { priority: job.priority }),
  };
  return `curl -X POST ${window.location.origin}/v1/jobs -H 'Content-Type: application/json' -d ${shellQuote(JSON.stringify(spec))}`;
}

function Actions({ job, again }: { job: Job; again: () => void }) {
  const [asking, setAsking] = useState<'reschedule' | 'move' | 'priority' | undefined>();
  const [cloning, setCloning] = useState(false);
  const queues = useResource<Queue[]>(asking === 'move' ? '/api/queues' : null);
  const operate = can('operate');
  const then = (done: Promise<boolean>) => void done.then((yes) => yes && again());
  const requeue = () => then(requeueOne(job.id));
  const remove = () => then(deleteOne(job.id, job.state));
  const copy = async (value: string) => {
    await copyText(value);
    toast(words.done.copied);
  };
  useShortcuts({
    r: () => (operate && canRequeue(job.state) ? requeue() : false),
    d: () => (mayDelete(job.state) ? remove() : false),
  });
  const running = job.state === 'PROCESSING';
  const waiting = job.state === 'ENQUEUED' || job.state === 'SCHEDULED';
  return (
    <>
      {operate && canRequeue(job.state) && (
        <Button icon={job.state === 'SCHEDULED' ? 'play' : 'refresh'} onClick={requeue}>
          {job.state === 'SCHEDULED' ? words.action.runNow : words.action.requeue}
        </Button>
      )}
      {mayDelete(job.state) && (
        <Button look="danger" icon={running ? 'stop' : 'trash'} onClick={remove}>
          {running ? words.action.cancel : words.action.delete}
        </Button>
      )}
      <Menu
        label={common.actions.more}
        items={[
          operate && canSchedule(job.state) && { name: `${words.action.reschedule}…`, act: () => setAsking('reschedule') },
          operate && waiting && { name: `${words.action.move}…`, act: () => setAsking('move') },
          operate && waiting && { name: `${words.action.priority}…`, act: () => setAsking('priority') },
          can('produce') && { name: `${words.action.clone}…`, act: () => setCloning(true) },
          { name: words.action.copyCli, act: () => void copy(asCommand(job)) },
          { name: words.action.copyCurl, act: () => void copy(asCurl(job)) },
        ]}
      />
      {asking && (
        <AskParameters
          action={asking}
          queues={(queues.data ?? []).map((one) => one.queue)}
          close={() => setAsking(undefined)}
          go={(params) => {
            setAsking(undefined);
            if (asking === 'reschedule') then(scheduleOne(job.id, params.runAt ?? ''));
            else then(bulk(asking, { ids: [job.id] }, params));
          }}
        />
      )}
      {cloning && <Clone job={job} close={() => setCloning(false)} />}
    </>
  );
}

function Clone({ job, close }: { job: Job; close: () => void }) {
  const [args, setArgs] = useState(JSON.stringify(argumentsOf(job), null, 2));
  const [error, setError] = useState<ApiError | undefined>();
  const parsed = parsedArguments(args);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (!parsed) return;
    try {
      const made = await api.post<{ id: string }>(`/api/jobs/${encodeURIComponent(job.id)}/clone`, {
        args: parsed.args ?? parsed.named,
      });
      toast(words.done.cloned);
      navigate(`/jobs/${made.id}`);
    } catch (reason) {
      setError(asApiError(reason));
    }
  };
  return (
    <Dialog title={text.clone.title} close={close} wide>
      {error && <ErrorNotice error={error} />}
      <form class="stack" onSubmit={(event) => void submit(event)}>
        <Field name={text.clone.args} wrong={parsed ? undefined : words.enqueue.notJson}>
          <textarea class="textarea tall" data-autofocus spellcheck={false} value={args} onInput={(event) => setArgs(event.currentTarget.value)} />
        </Field>
        <div class="row">
          <Button type="submit" look="primary" disabled={!parsed}>{text.clone.submit}</Button>
          <Button onClick={close}>{common.actions.cancel}</Button>
        </div>
      </form>
    </Dialog>
  );
}

// --- parts ------------------------------------------------------------------------------------

function callText(job: Job): string {
  if (job.named) return Object.entries(job.named).map(([name, value]) => `${name}: ${JSON.stringify(value)}`).join(', ');
  return (job.args ?? []).map((value) => JSON.stringify(value)).join(', ');
}

const kLongCall = 160;

function Call({ job }: { job: Job }) {
  const inline = callText(job);
  return (
    <Card title={text.call} actions={<CopyButton value={JSON.stringify(argumentsOf(job), null, 2)} label={`${common.actions.copy}: ${text.arguments}`} />}>
      {inline.length <= kLongCall ? (
        <p class="call"><span class="kind">{visible(job.kind)}</span>({visible(inline)})</p>
      ) : (
        <div class="stack-s">
          <p class="call"><span class="kind">{visible(job.kind)}</span></p>
          <Json value={argumentsOf(job)} label={text.arguments} />
        </div>
      )}
    </Card>
  );
}

interface Result {
  available: boolean;
  state: string;
  result?: unknown;
}

function Outcome({ job, path }: { job: Job; path: string }) {
  const result = useResource<Result>(job.state === 'SUCCEEDED' ? `${path}/result` : null);
  if (!result.data?.available) return null;
  return <Card title={text.result}><Json value={result.data.result} label={text.result} /></Card>;
}

function seconds(value: number | undefined): number | undefined {
  return value === undefined ? undefined : Number(value) * 1_000;
}

function Details({ job, history }: { job: Job; history: JobEvent[] }) {
  const succeeded = [...history].reverse().find((event) => event.state === 'SUCCEEDED');
  const started = [...history].reverse().find((event) => event.state === 'PROCESSING');
  const trace = job.trace?.traceparent.split('-')[1];
  return (
    <Card title={text.details}>
      <Facts
        facts={[
          [words.kind, <span class="mono">{visible(job.kind)}{job.v > 1 ? ` v${job.v}` : ''}</span>],
          [words.queue, <Link to={`/queues/${encodeURIComponent(job.queue)}`}>{visible(job.queue)}</Link>],
          [text.priority, job.priority],
          [words.attempt, text.of(job.attempt, job.max_attempts)],
          job.failures > 0 && [text.failures, job.failures],
          job.crashes > 0 && [text.crashes, text.of(job.crashes, job.max_crashes)],
          [words.created, <RelativeTime at={job.created_at} />],
          job.created_by && [words.createdBy, visible(job.created_by)],
          [words.changed, <RelativeTime at={job.updated_at} />],
          job.run_at && job.state === 'SCHEDULED' && [text.runAt, <RelativeTime at={job.run_at} />],
          job.state === 'PROCESSING' && [text.running, <Elapsed since={started?.createdAt} />],
          succeeded?.latencyDuration !== undefined && [text.latency, <Duration ms={seconds(succeeded.latencyDuration)} />],
          succeeded?.processDuration !== undefined && [text.ran, <Duration ms={seconds(succeeded.processDuration)} />],
          started?.serverId && [text.server, <Link to={`/servers/${encodeURIComponent(started.serverId)}`}>{visible(started.serverName || started.serverId)}</Link>],
          job.deadline && [text.deadline, <RelativeTime at={job.deadline} />],
          job.timeout_s !== undefined && [text.timeout, <Duration ms={seconds(job.timeout_s)} />],
          job.progress_timeout_s !== undefined && [text.progressTimeout, <Duration ms={seconds(job.progress_timeout_s)} />],
          job.recurring_id && [text.recurring, <Link to={`/recurring-jobs/${encodeURIComponent(job.recurring_id)}`}>{visible(job.recurring_id)}</Link>],
          trace && [text.trace, <span class="mono break">{visible(trace)} <CopyButton value={trace} /></span>],
          [text.version, job.version],
          [text.audit, <Link to={`/audit?target=${encodeURIComponent(job.id)}`}>{text.auditShow}</Link>],
        ]}
      />
    </Card>
  );
}

function History({ history }: { history: JobEvent[] }) {
  const order = param('history') === 'oldest' ? 'oldest' : 'newest';
  return (
    <Card
      title={text.timeline}
      actions={
        <Segments
          label={text.timeline}
          value={order}
          choices={[
            { value: 'newest', name: text.newestFirst },
            { value: 'oldest', name: text.oldestFirst },
          ]}
          onChange={(value) => setQuery({ history: value === 'oldest' ? 'oldest' : null }, { replace: true })}
        />
      }
    >
      <Timeline history={history} newestFirst={order === 'newest'} />
    </Card>
  );
}

// --- logs -------------------------------------------------------------------------------------

interface Tail {
  lines: (LogLine & { n: number })[];
  next: number; // the number of the line after them
  dropped: number;
}

const kNoLines: Tail = { lines: [], next: 0, dropped: 0 };

// With the lines of a page; undefined: lines between them are missing.
function continued(tail: Tail, page: LogPage): Tail | undefined {
  const first = page.next - page.lines.length;
  if (first > tail.next) return undefined;
  const fresh = page.lines.slice(tail.next - first).map((line, i) => ({ ...line, n: tail.next + i }));
  return { lines: [...tail.lines, ...fresh], next: Math.max(tail.next, page.next), dropped: page.dropped };
}

// The lines so far, then what comes after them, so that none is seen twice and none is missed. While
// `topic` is told of, new lines come over the event stream, and are asked for where it skipped some.
function useTail(path: string, topic: string | null): { tail: Tail | undefined; error: ApiError | undefined } {
  const [state, setState] = useState<{ path: string; tail?: Tail; error?: ApiError }>({ path });
  useEffect(() => {
    const abort = new AbortController();
    let tail = kNoLines;
    let reading = false;
    let again = false; // something came meanwhile
    const read = async (): Promise<void> => {
      if (reading) {
        again = true;
        return;
      }
      reading = true;
      again = false;
      try {
        const page = await api.get<LogPage>(`${path}&after=${tail.next}`, abort.signal);
        tail = continued({ ...tail, next: Math.max(tail.next, page.next - page.lines.length) }, page) ?? tail;
        setState({ path, tail });
      } catch (reason) {
        if (!abort.signal.aborted) setState({ path, tail, error: asApiError(reason) });
      }
      reading = false;
      if (again && !abort.signal.aborted) void read();
    };
    const take = (page: LogPage) => {
      const longer = reading ? undefined : continued(tail, page);
      if (!longer) return void read();
      tail = longer;
      setState({ path, tail });
    };
    void read();
    let first = true; // a signal tells its value at once
    const stops = topic === null ? [] : [
      subscribe(topic, (page) => take(page as LogPage)),
      pollTick.subscribe(() => (first ? (first = false) : void read())),
    ];
    return () => {
      abort.abort();
      stops.forEach((stop) => stop());
    };
  }, [path, topic]);
  return state.path === path ? { tail: state.tail, error: state.error } : { tail: undefined, error: undefined };
}

// A crash does not count as an attempt, so several runs may have the same number; the latest last.
function attemptsOf(history: JobEvent[]): number[] {
  const runs = history.filter((event) => event.state === 'PROCESSING').map((event, i) => event.attempt ?? i + 1);
  return runs.filter((run, i) => runs.lastIndexOf(run) === i);
}

function Logs({ job, path, attempts }: { job: Job; path: string; attempts: number[] }) {
  const latest = attempts[attempts.length - 1] ?? 1;
  const chosen = attempts.find((one) => one === Number(param('attempt'))) ?? latest;
  const live = job.state === 'PROCESSING' && chosen === latest;
  const { tail, error } = useTail(`${path}/logs?attempt=${chosen}`, live ? `logs:${job.id}:${chosen}` : null);
  const save = () => {
    const lines = (tail?.lines ?? []).map((line) => `${line.at} ${line.level} ${line.text}`).join('\n');
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([lines], { type: 'text/plain' }));
    link.download = `${job.id}-attempt-${chosen}.log`;
    link.click();
    URL.revokeObjectURL(link.href);
  };
  return (
    <Card
      title={text.log}
      actions={
        attempts.length > 1 && (
          <select class="select" aria-label={text.attempts} value={chosen} onChange={(event) => setQuery({ attempt: event.currentTarget.value }, { replace: true })}>
            {attempts.map((one) => (
              <option key={one} value={one}>{text.attemptN(one)}</option>
            ))}
          </select>
        )
      }
    >
      {error && <ErrorNotice error={error} />}
      <LogConsole lines={tail?.lines ?? []} label={`${text.log}, ${text.attemptN(chosen)}`} live={live} dropped={tail?.dropped ?? 0} download={save} />
    </Card>
  );
}

