// SPDX-License-Identifier: Apache-2.0
// The signature page: one target of the autoscaler on one time axis, and an answer for every
// "why" and "why not".
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { api } from '../../lib/api';
import { duration } from '../../lib/format';
import { saveFile } from '../../lib/file';
import { now } from '../../lib/now';
import { visible } from '../../lib/plain';
import { useLoader, useResource, type Resource } from '../../lib/resource';
import { query } from '../../lib/api';
import { place, setQuery, withQuery, type PageProps } from '../../lib/router';
import { can } from '../../lib/session';
import { attempt, toast } from '../../lib/toast';
import type { Target as ScaledTarget } from '../../lib/types';
import { autoscaling as words } from '../../text/autoscaling';
import { text as common } from '../../text/common';
import type { DecisionRecord } from '../../timeline/decision';
import { ruleWords } from '../../timeline/decision';
import { cellText, csvOf, tableOf } from '../../timeline/describe';
import { Explanation } from '../../timeline/explanation';
import { dateAndClock, here } from '../../timeline/format';
import type { Range } from '../../timeline/range';
import { kPresets, panned, presetQuery, rangeOf, zoomed } from '../../timeline/range';
import type { Series, SeriesDocument } from '../../timeline/series';
import { seriesOf } from '../../timeline/series';
import { ReplicaNumbers, targetApi, type TargetDetail } from '../../timeline/target';
import { Timeline } from '../../timeline/timeline';
import { kKindWords } from '../../timeline/tracks';
import { MarkerShape } from '../../timeline/marker_shape';
import '../../timeline/timeline.css';
import {
  Badge, Button, Card, Code, copyText, Dialog, EmptyState, Field, Notice, PageHead, RelativeTime, Show, Tabs,
} from '../../ui';

const kTableRows = 500;

export default function Target({ params }: PageProps) {
  const name = params['target'] ?? '';
  const detail = useResource<TargetDetail>(targetApi(name));
  const live = useResource<ScaledTarget>(targetApi(name), { topic: `target:${name}`, everyMs: 10_000 });
  const tab = place.value.query.get('tab') ?? 'timeline';
  // A new decision is part of the detail, which has no topic of its own.
  const latest = live.data?.decision?.id;
  useEffect(() => {
    if (latest && latest !== detail.data?.decision?.id) detail.refresh();
  }, [latest]);

  return (
    <Show of={live}>
      {(target) => (
        <div class="stack">
          <PageHead
            crumb={{ to: '/autoscaling', name: words.title }}
            title={visible(target.target)}
            sub={<Head target={target} />}
            actions={<Actions target={target} done={live.refresh} />}
          />
          {(target.warnings ?? []).map(({ text }) => <Notice key={text} kind="warning">{visible(text)}</Notice>)}
          <Failing target={target} />
          <Tabs
            label={words.tabs.label} current={tab}
            tabs={(['timeline', 'explain', 'yaml'] as const).map((id) => ({ id, name: words.tabs[id], to: withQuery({ tab: id === 'timeline' ? null : id }) }))}
          />
          {tab === 'timeline' && <TimelineTab name={name} detail={detail} changed={`${latest}`} />}
          {tab === 'explain' && <Ledger name={name} />}
          {tab === 'yaml' && <Show of={detail}>{({ manifest }) => <Code label={words.yamlLabel}>{manifest ?? ''}</Code>}</Show>}
        </div>
      )}
    </Show>
  );
}

function Head({ target }: { target: ScaledTarget }) {
  return (
    <div class="row">
      <ReplicaNumbers target={target} />
      <span class="subtle">{target.kind} · {words.bounds(target.min, target.max)}</span>
      {target.paused && <Badge tone="amber" icon="pause">{words.paused(target.paused.replicas)}</Badge>}
    </div>
  );
}

function Failing({ target: { triggers = [] } }: { target: ScaledTarget }) {
  const failing = triggers.filter(({ error }) => error);
  return (
    <>
      {failing.map(({ name, type, error }) => (
        <Notice key={name + type} kind="error"><strong>{visible(name || type)}</strong> {visible(error ?? '')}</Notice>
      ))}
    </>
  );
}

// --- actions ----------------------------------------------------------------------------------

function Actions({ target, done }: { target: ScaledTarget; done: () => void }) {
  const [asks, setAsks] = useState<'pause' | 'set' | null>(null);
  const base = targetApi(target.target);
  const act = async (action: () => Promise<unknown>, said: string) => {
    if (await attempt(action, said)) done();
  };
  const copy = async () => {
    await copyText(`jobmill scale explain ${target.name}${target.namespace === 'default' ? '' : ` -n ${target.namespace}`}`);
    toast(common.actions.copied);
  };
  return (
    <>
      <Button icon="copy" look="quiet" onClick={() => void copy()}>{words.actions.copy}</Button>
      {can('operate') && (
        <>
          <Button onClick={() => setAsks('set')}>{words.actions.set}</Button>
          {target.paused
            ? <Button icon="play" onClick={() => void act(() => api.post(`${base}/resume`), words.resumedDone(target.name))}>{words.actions.resume}</Button>
            : <Button icon="pause" onClick={() => setAsks('pause')}>{words.actions.pause}</Button>}
        </>
      )}
      {asks && <Ask what={asks} target={target} close={() => setAsks(null)} act={act} />}
    </>
  );
}

interface AskProps {
  what: 'pause' | 'set';
  target: ScaledTarget;
  close: () => void;
  act: (action: () => Promise<unknown>, said: string) => Promise<void>;
}

function Ask({ what, target, close, act }: AskProps) {
  const pause = what === 'pause';
  const [typed, setTyped] = useState(pause ? '' : String(target.desired));
  const replicas = typed === '' ? undefined : Number(typed);
  const valid = replicas === undefined ? pause : Number.isInteger(replicas) && replicas >= 0;
  const submit = async (event: Event) => {
    event.preventDefault();
    if (!valid) return;
    close();
    const body = replicas === undefined ? {} : { replicas };
    await act(() => api.post(`${targetApi(target.target)}/${what}`, body), pause ? words.pausedDone(target.name) : words.setDone(target.name, replicas ?? 0));
  };
  return (
    <Dialog
      title={pause ? words.pauseTitle(target.name) : words.setTitle(target.name)} close={close}
      foot={
        <>
          <Button onClick={close}>{common.actions.cancel}</Button>
          <Button look="primary" disabled={!valid} onClick={(event) => void submit(event)}>{pause ? words.pauseButton : words.setButton}</Button>
        </>
      }
    >
      <form class="stack" onSubmit={(event) => void submit(event)}>
        <p>{pause ? words.pauseHint : words.setHint}</p>
        <Field name={pause ? words.pauseAt : words.setReplicas} hint={pause ? words.pauseAtHint : words.bounds(target.min, target.max)}>
          <input class="input" type="number" min="0" step="1" data-autofocus value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
        </Field>
      </form>
    </Dialog>
  );
}

// --- timeline ---------------------------------------------------------------------------------

function TimelineTab({ name, detail, changed }: { name: string; detail: Resource<TargetDetail>; changed: string }) {
  const { series, range } = useSeries(name, changed);
  const asTable = place.value.query.get('view') === 'table';
  const decision = place.value.query.get('decision');
  const at = Date.parse(place.value.query.get('at') ?? '');
  const select = (change: { decision?: string; at?: string }) => setQuery({ decision: null, at: null, ...change });
  const onTable = () => setQuery({ view: asTable ? null : 'table' });

  return (
    <div class="target-layout">
      <Card title={words.timeline} actions={<RangeBar name={name} range={range} series={series.data} asTable={asTable} onTable={onTable} />}>
        <Show of={series} rows={12}>
          {(data) => asTable
            ? <SeriesTable name={name} series={data} />
            : (
              <Timeline
                label={words.chartLabel(name)} series={data} range={range} decision={decision} at={Number.isNaN(at) ? null : at}
                onDecision={(id) => select({ decision: id })} onAt={(t) => select({ at: new Date(t).toISOString() })}
                onRange={(change) => setQuery(change)} onTable={onTable}
              />
            )}
        </Show>
        {!asTable && <KeyLine />}
      </Card>
      <aside class="target-side stack" aria-label={words.ask}>
        <Side name={name} decision={decision} at={at} latest={detail} close={() => select({})} />
      </aside>
    </div>
  );
}

function KeyLine() {
  return (
    <p class="timeline-keys row small muted" aria-hidden="true">
      {words.keys.map(([keys, what]) => <span key={keys}><kbd>{keys}</kbd> {what}</span>)}
    </p>
  );
}

// While it follows now, the window moves with the clock; the data behind it is read again as often
// as a new point can be in it.
function useSeries(name: string, changed: string): { series: Resource<Series>; range: Range } {
  const address = place.value.query;
  const tick = now.value;
  const fixed = rangeOf(address, tick);
  const span = fixed.to - fixed.from;
  const beat = Math.max(1_000, span / 1_500); // a pixel, more or less
  const range = useMemo(() => rangeOf(address, Math.ceil(tick / beat) * beat), [address, Math.ceil(tick / beat)]);
  const everyMs = Math.max(5_000, Math.min(60_000, span / 400));
  const key = fixed.follows ?? `${fixed.from}-${fixed.to}`;
  const series = useLoader<Series>(
    `${name} ${key}`,
    async (abort) => {
      const wanted = rangeOf(place.peek().query, Date.now());
      const path = query(`${targetApi(name)}/series`, { from: new Date(wanted.from).toISOString(), to: new Date(wanted.to).toISOString() });
      return seriesOf(await api.get<SeriesDocument>(path, abort));
    },
    { everyMs: range.now > range.to ? 0 : everyMs },
  );
  const before = useRef(changed);
  useEffect(() => {
    if (before.current !== changed) series.refresh();
    before.current = changed;
  }, [changed]);
  return { series, range };
}

interface RangeBarProps {
  name: string;
  range: Range;
  series: Series | undefined;
  asTable: boolean;
  onTable: () => void;
}

function RangeBar({ name, range, series, asTable, onTable }: RangeBarProps) {
  const middle = (range.from + range.to) / 2;
  const follow = range.follows ? undefined : () => setQuery(presetQuery('1h'));
  return (
    <div class="timeline-bar">
      <div class="group" role="group" aria-label={words.range.label}>
        {kPresets.map((preset) => (
          <Button key={preset.name} small aria-pressed={range.follows === preset.name} onClick={() => setQuery(presetQuery(preset.name))}>{preset.label}</Button>
        ))}
      </div>
      <div class="row">
        <div class="group">
          <Button small icon="left" label={words.range.earlier} onClick={() => setQuery(panned(range, -0.5))} />
          <Button small label={words.range.out} onClick={() => setQuery(zoomed(range, 2, range.follows ? range.now : middle))}>−</Button>
          <Button small icon="plus" label={words.range.in} onClick={() => setQuery(zoomed(range, 0.5, range.follows ? range.now : middle))} />
          <Button small icon="right" label={words.range.later} onClick={() => setQuery(panned(range, 0.5))} />
        </div>
        {follow && <Button small icon="live" onClick={follow}>{words.range.now}</Button>}
        <Button small aria-pressed={asTable} onClick={onTable}>{words.range.table}</Button>
        <Button small icon="download" disabled={!series} onClick={() => series && saveFile(`${name}.csv`, csvOf(series), 'text/csv')}>{words.range.csv}</Button>
      </div>
    </div>
  );
}

function SeriesTable({ name, series }: { name: string; series: Series }) {
  const table = useMemo(() => tableOf(series, (marker) => here(marker.summary, marker.at)), [series]);
  const rows = table.rows.slice(-kTableRows).reverse();
  return (
    <div class="stack-s">
      {table.rows.length > kTableRows && <p class="small muted">{words.tableRows(kTableRows, table.rows.length)}</p>}
      <div class="table-wrap series-table" tabIndex={0} role="region" aria-label={words.tableCaption(name)}>
        <table class="table">
          <caption class="sr">{words.tableCaption(name)}</caption>
          <thead>
            <tr>
              <th scope="col">{words.time}</th>
              {table.head.map((head) => <th key={head} scope="col" class="num">{head}</th>)}
              <th scope="col">{words.decisions}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ t, cells, decisions }) => (
              <tr key={t}>
                <th scope="row" class="nowrap">{dateAndClock(t)}</th>
                {cells.map((value, i) => <td key={i} class="num">{cellText(table, i, value)}</td>)}
                <td>{visible(decisions)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

// --- why, and why not -------------------------------------------------------------------------

interface SideProps {
  name: string;
  decision: string | null;
  at: number;
  latest: Resource<TargetDetail>;
  close: () => void;
}

function Side({ name, decision, at, latest, close }: SideProps) {
  if (decision) return <OneDecision name={name} id={decision} close={close} />;
  if (!Number.isNaN(at)) return <WhyNot name={name} at={at} close={close} />;
  return (
    <Card title={words.latest}>
      <p class="small muted side-hint">{words.askHint}</p>
      <Show of={latest}>{(data) => data.decision ? <Explanation record={data.decision} level={3} /> : <p class="muted">{words.noDecision}</p>}</Show>
    </Card>
  );
}

function CloseButton({ close }: { close: () => void }) {
  return <Button small look="quiet" icon="close" label={words.close} onClick={close} />;
}

function OneDecision({ name, id, close }: { name: string; id: string; close: () => void }) {
  const record = useResource<DecisionRecord>(`${targetApi(name)}/decisions/${encodeURIComponent(id)}`);
  return (
    <Card title={words.ask} actions={<CloseButton close={close} />}>
      <Show of={record}>{(data) => <Explanation record={data} level={3} />}</Show>
    </Card>
  );
}

interface WhyNotAnswer {
  at: string;
  replicas: number | null;
  rule: string;
  sentence: string;
  decision?: DecisionRecord;
}

function WhyNot({ name, at, close }: { name: string; at: number; close: () => void }) {
  const answer = useResource<WhyNotAnswer>(query(`${targetApi(name)}/why-not`, { at: new Date(at).toISOString() }));
  return (
    <Card title={words.whyNot(dateAndClock(at))} actions={<CloseButton close={close} />}>
      <Show of={answer}>
        {({ rule, sentence, replicas, decision }) => (
          <div class="stack">
            <p class="explanation-sentence">{visible(here(sentence, new Date(at).toISOString()))}</p>
            <p class="explanation-without">{words.heldBy}: <b>{ruleWords(rule)}</b>{replicas !== null && <> · {words.replicasThen}: <b>{replicas}</b></>}</p>
            {decision && 'triggers' in decision && <Explanation record={decision} level={3} />}
          </div>
        )}
      </Show>
    </Card>
  );
}

// --- ledger -----------------------------------------------------------------------------------

interface LedgerPage {
  items: DecisionRecord[];
  next?: string;
}

function Ledger({ name }: { name: string }) {
  const before = place.value.query.get('before');
  const page = useResource<LedgerPage>(query(`${targetApi(name)}/decisions`, { before, limit: 50 }), { everyMs: before ? 0 : 10_000 });
  return (
    <Card title={words.tabs.explain} flush>
      <p class="small muted ledger-hint">{words.ledger}</p>
      <Show of={page}>
        {({ items, next }) => (
          <>
            {items.length === 0 && <EmptyState title={words.ledgerEmpty}>{words.ledgerEmptyHint}</EmptyState>}
            {items.map((record) => <LedgerRow key={record.id} record={record} />)}
            <div class="row ledger-foot">
              {before && <Button small onClick={() => setQuery({ before: null })}>{common.list.first}</Button>}
              {next && <Button small onClick={() => setQuery({ before: next })}>{words.older}</Button>}
            </div>
          </>
        )}
      </Show>
    </Card>
  );
}

function LedgerRow({ record }: { record: DecisionRecord }) {
  const [open, setOpen] = useState(false);
  const held = record.until ? Date.parse(record.until) - Date.parse(record.at) : 0;
  return (
    <details class="ledger-row" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <MarkerShape kind={record.kind} />
        <span class="strong">{kKindWords[record.kind]} <span class="nowrap">{record.from} → {record.to}</span></span>
        <span class="muted small"><RelativeTime at={record.at} />{held > 1000 && ` · held ${duration(held)}`}</span>
        <span class="break">{visible(here(record.sentence, record.at))}</span>
      </summary>
      {open && <Explanation record={record} level={3} />}
    </details>
  );
}
