// SPDX-License-Identifier: Apache-2.0
// Everything that is scaled: what its triggers say, how many replicas there are, and the last
// decision in words.
import { duration } from '../../lib/format';
import { visible } from '../../lib/plain';
import { useResource } from '../../lib/resource';
import type { Target, TriggerState } from '../../lib/types';
import { autoscaling as words } from '../../text/autoscaling';
import { ReplicaNumbers, targetPath } from '../../timeline/target';
import { kKindWords } from '../../timeline/tracks';
import { here, number } from '../../timeline/format';
import { MarkerShape } from '../../timeline/marker_shape';
import '../../timeline/timeline.css';
import { Badge, EmptyState, Link, Notice, PageHead, RelativeTime, Show, Table, type Column } from '../../ui';

const kStaleMs = 120_000;

function TriggerLine({ trigger }: { trigger: TriggerState }) {
  const { name, type, value, perReplica, target, ageMs, error } = trigger;
  return (
    <div class="trigger-line">
      <span class="break">
        {visible(name || type)} {error && <Badge tone="red" icon="cross-circle">failing</Badge>}
        {!error && ageMs !== undefined && ageMs > kStaleMs && <Badge tone="amber" icon="clock">{words.stale(duration(ageMs))}</Badge>}
      </span>
      <span class="nowrap">
        <b>{value === undefined || value === null || error ? words.unknown : number(value)}</b>
        {perReplica !== undefined && perReplica !== null && <span class="muted"> · {number(perReplica)} {words.perReplica}</span>}
        <span class="muted"> · {words.target} {number(target)}</span>
      </span>
      {error && <span class="small muted break">{visible(error)}</span>}
    </div>
  );
}

function LastDecision({ target: { decision } }: { target: Target }) {
  if (!decision) return <span class="muted">{words.noDecision}</span>;
  const { kind } = decision;
  return (
    <div class="cell-main">
      <span class="cell-title">
        <MarkerShape kind={kind} /> {kKindWords[kind]} <span class="nowrap">{decision.from} → {decision.to}</span>{' '}
        <span class="muted small"><RelativeTime at={decision.at} /></span>
      </span>
      <span class="cell-sub">{visible(here(decision.sentence, decision.at))}</span>
    </div>
  );
}

const kColumns: Column<Target>[] = [
  {
    id: 'target', name: words.columns.target,
    cell: (target) => (
      <div class="cell-main">
        <Link class="cell-title plain" to={targetPath(target)}>{visible(target.target)}</Link>
        <span class="cell-sub">{target.kind}</span>
        {target.paused && <span><Badge tone="amber" icon="pause">{words.paused(target.paused.replicas)}</Badge></span>}
      </div>
    ),
  },
  { id: 'replicas', name: words.columns.replicas, cell: (target) => <ReplicaNumbers target={target} /> },
  { id: 'bounds', name: words.columns.bounds, align: 'fit', cell: (target) => words.bounds(target.min, target.max) },
  { id: 'triggers', name: words.columns.triggers, cell: ({ triggers = [] }) => <div class="stack-s">{triggers.map((trigger) => <TriggerLine key={trigger.name} trigger={trigger} />)}</div> },
  { id: 'decision', name: words.columns.decision, cell: (target) => <LastDecision target={target} /> },
];

export default function Autoscaling() {
  const targets = useResource<Target[]>('/api/autoscaling', { everyMs: 5_000 });
  return (
    <>
      <PageHead title={words.title} sub={words.sub} />
      <Show of={targets}>
        {(list) => (
          <div class="stack">
            {list.flatMap(({ target, warnings = [] }) => warnings.map(({ text }) => (
              <Notice key={target + text} kind="warning"><strong>{visible(target)}</strong>: {visible(text)}</Notice>
            )))}
            <Table
              caption={words.caption} columns={kColumns} rows={list} id={({ target }) => target} to={targetPath}
              empty={<EmptyState icon="autoscaling" title={words.empty} command={words.emptyCommand}>{words.emptyHint}</EmptyState>}
            />
          </div>
        )}
      </Show>
    </>
  );
}
