// SPDX-License-Identifier: Apache-2.0
import type { ComponentChildren } from 'preact';
import { bytes, clock, exactInstant, ms } from '../../lib/format';
import { visible } from '../../lib/plain';
import { useResource } from '../../lib/resource';
import type { PageProps } from '../../lib/router';
import { executions as words } from '../../text/executions';
import { Badge, Card, Facts, Link, Notice, PageHead, RelativeTime, Show } from '../../ui';
import { executionApi, unfinished, type ExecutionDetail, type Variable } from './execution';
import { ExecutionLog } from './log';
import { ExecutionActions, ExitText, StatusBadge, Took } from './parts';
import './executions.css';

export default function ExecutionPage({ params }: PageProps) {
  const name = params['id'] ?? '';
  const execution = useResource<ExecutionDetail>(executionApi(name), { topic: `execution:${name}`, everyMs: 3_000 });
  return (
    <Show of={execution}>
      {(data) => (
        <div class="stack">
          <PageHead
            crumb={{ to: '/executions', name: words.title }} title={<span class="mono">{visible(data.name)}</span>}
            sub={<div class="row"><StatusBadge status={data.status} /> <span>{visible(data.job)}</span> <Took execution={data} /></div>}
            actions={<ExecutionActions execution={data} done={execution.refresh} />}
          />
          {data.reason && <Notice kind={unfinished(data.status) || data.status === 'Succeeded' ? 'info' : 'error'}>{visible(data.reason)}</Notice>}
          <div class="execution-layout">
            <div class="stack">
              <Card title={words.detail.log}><ExecutionLog name={data.name} replicas={data.replicaList} /></Card>
              <Card title={words.detail.replicas} flush><Replicas execution={data} /></Card>
              <Card title={words.detail.environment} flush><Environment execution={data} /></Card>
              {data.messages.length > 0 && <Card title={words.detail.messages} flush><Messages execution={data} /></Card>}
            </div>
            <div class="stack">
              <Card title={words.detail.overview}><Overview execution={data} /></Card>
              <Card title={words.detail.timeline}><Timeline execution={data} /></Card>
            </div>
          </div>
        </div>
      )}
    </Show>
  );
}

function Overview({ execution }: { execution: ExecutionDetail }) {
  const f = words.facts;
  return (
    <Facts
      facts={[
        [f.job, <Link to={`/executions?job=${encodeURIComponent(execution.job)}`}>{visible(execution.job)}</Link>],
        execution.group ? [f.group, visible(execution.group)] : null,
        [f.trigger, <>{visible(execution.trigger ?? '–')}{execution.triggerType && <span class="muted"> · {visible(execution.triggerType)}</span>}</>],
        execution.message ? [words.detail.messages, visible(words.message(execution.message.entity, execution.message.sequence))] : null,
        execution.decision ? [f.decision, visible(execution.decision)] : null,
        [f.created, <RelativeTime at={execution.createdAt} />],
        [f.started, <RelativeTime at={execution.startedAt} />],
        [f.ended, <RelativeTime at={execution.endedAt} />],
        [f.exit, <ExitText exitCode={execution.exitCode} signal={execution.signal} />],
        [f.retries, execution.retries],
        execution.semantics ? [f.semantics, execution.semantics] : null,
        ...execution.containers.flatMap((container) => [
          [f.image, <code class="break">{visible(container.image)}</code>] as [string, ComponentChildren],
          [f.command, <code class="break">{visible([...container.command, ...container.args].join(' ') || '–')}</code>] as [string, ComponentChildren],
          container.cpuMilli ? ([f.cpu, `${container.cpuMilli / 1000}`] as [string, ComponentChildren]) : null,
          container.memoryBytes ? ([f.memory, bytes(container.memoryBytes)] as [string, ComponentChildren]) : null,
        ]),
      ]}
    />
  );
}

function Replicas({ execution }: { execution: ExecutionDetail }) {
  const r = words.replica;
  return (
    <div class="table-wrap">
      <table class="table cards">
        <caption class="sr">{words.detail.replicas}</caption>
        <thead>
          <tr>
            <th scope="col">{r.name}</th><th scope="col">{r.state}</th><th scope="col">{r.start}</th><th scope="col">{r.end}</th><th scope="col">{r.exit}</th>
            <th scope="col" class="num">{r.memory}</th>
          </tr>
        </thead>
        <tbody>
          {execution.replicaList.map((replica) => (
            <tr key={replica.name}>
              <td data-label={r.name}><span class="mono break">{replica.name}</span></td>
              <td data-label={r.state}>{replica.state} {replica.oom && <Badge tone="red" icon="warning">{r.oom}</Badge>}{replica.reason && <span class="cell-sub"> {visible(replica.reason)}</span>}</td>
              <td data-label={r.start}><RelativeTime at={replica.startedAt} /></td>
              <td data-label={r.end}><RelativeTime at={replica.endedAt} /></td>
              <td data-label={r.exit}><ExitText exitCode={replica.exitCode} signal={replica.signal} /></td>
              <td data-label={r.memory} class="num">{replica.peakRss ? bytes(replica.peakRss) : '–'}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Environment({ execution }: { execution: ExecutionDetail }) {
  const variables: Variable[] = execution.containers.flatMap(({ env }) => env);
  if (variables.length === 0) return <p class="muted card-body">{words.environmentEmpty}</p>;
  return (
    <div class="table-wrap">
      <table class="table">
        <caption class="sr">{words.detail.environment}</caption>
        <thead><tr><th scope="col">{words.name}</th><th scope="col">{words.value}</th></tr></thead>
        <tbody>
          {variables.map(({ name, value, secret }, i) => (
            <tr key={`${name} ${i}`}>
              <th scope="row" class="mono break">{visible(name)}</th>
              <td class="mono break">{secret ? <Badge icon="key">{words.secret}</Badge> : visible(value ?? '')}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Messages({ execution }: { execution: ExecutionDetail }) {
  const m = words.message_;
  return (
    <div class="table-wrap">
      <table class="table cards">
        <caption class="sr">{words.detail.messages}</caption>
        <thead>
          <tr><th scope="col">{m.entity}</th><th scope="col" class="num">{m.sequence}</th><th scope="col" class="num">{m.deliveries}</th><th scope="col">{m.taken}</th><th scope="col">{m.outcome}</th></tr>
        </thead>
        <tbody>
          {execution.messages.map((message) => (
            <tr key={`${message.entity} ${message.sequence} ${message.taken}`}>
              <td data-label={m.entity} class="break">{visible(message.entity)}</td>
              <td data-label={m.sequence} class="num">{message.sequence}</td>
              <td data-label={m.deliveries} class="num">{message.deliveryCount + 1}</td>
              <td data-label={m.taken}><RelativeTime at={message.taken} /></td>
              <td data-label={m.outcome}>{message.outcome ?? <Badge tone="violet" icon="key">{m.locked}</Badge>}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Timeline({ execution }: { execution: ExecutionDetail }) {
  return (
    <ol class="moments">
      {execution.timeline.map(({ at, what }, i) => (
        <li key={i}>
          <time dateTime={at} title={exactInstant(ms(at) ?? 0)}>{clock(ms(at) ?? 0)}</time>
          <span class="break">{visible(what)}</span>
        </li>
      ))}
    </ol>
  );
}
