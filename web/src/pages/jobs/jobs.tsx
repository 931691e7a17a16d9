// SPDX-License-Identifier: Apache-2.0
// The list of jobs. Everything that decides what is seen is in the address.
import { useEffect, useRef, useState } from 'preact/hooks';
import { api, query as apiQuery, url } from '../../lib/api';
import { clock, count, shortCount } from '../../lib/format';
import { visible } from '../../lib/plain';
import { prefs, setPref } from '../../lib/prefs';
import { useLoader, useResource } from '../../lib/resource';
import { navigate, param, params, place, setQuery, withQuery, type PageProps } from '../../lib/router';
import { can } from '../../lib/session';
import { canRequeue, kStates, type State } from '../../lib/states';
import { useSteady } from '../../lib/steady';
import type { Job, JobPage, Queue } from '../../lib/types';
import { useStats } from '../../shell/stats';
import { states as stateNames, text as common } from '../../text/common';
import { jobs as text } from '../../text/jobs';
import {
  Button, EmptyState, ErrorNotice, Field, Icon, Labels, Link, Loading, Menu, PageHead, Pager, RelativeTime,
  SearchBox, StaleNotice, StateBadge, stateLook, Table, type Column, type Suggestion,
} from '../../ui';
import { Popover } from '../../shell/top_bar';
import { deleteOne, mayDelete, requeueOne, SelectionBar } from './bulk';
import { Enqueue } from './enqueue';
import { FilterForm } from './filter_form';
import { chosenState, defaultOrder, filterOf, isFiltered, kNoPage, kSingle, kWords, parse } from './filters';
import { Operations } from './operations';
import './jobs.css';

const kJobId = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const kSettleMs = 3_000;

// Reads again soon after the counters changed, at most each few seconds.
function useAgainOnChange(again: () => void, live: boolean): void {
  const stats = useStats();
  const value = stats.data;
  const key = value && [value.enqueued, value.scheduled, value.processing, value.succeeded, value.failed, value.deleted].join();
  const seen = useRef(key);
  const last = useRef(0);
  useEffect(() => {
    if (!live || key === undefined || key === seen.current) return;
    seen.current = key;
    const wait = Math.max(0, last.current + kSettleMs - Date.now());
    const timer = window.setTimeout(() => {
      last.current = Date.now();
      again();
    }, wait);
    return () => window.clearTimeout(timer);
  }, [key, live]);
}

export default function Jobs(_: PageProps) {
  const state = chosenState();
  const { query } = place.value;
  const filter = filterOf(query, state);
  const limit = Number(param('limit')) || prefs.value.pageSize;
  const order = param('order') || defaultOrder(state);
  const [after, before, last] = [param('after'), param('before'), param('last') === '1'];
  const body = {
    filter,
    order,
    limit,
    ...(after && { after }),
    ...(before && { before }),
    ...(last && { last: true }),
  };
  const key = JSON.stringify(body);
  const page = useLoader<JobPage>(key, (abort) => api.post<JobPage>('/api/jobs/search', body, abort));
  const steady = useSteady(key, page.data?.items, (job) => job.id);
  const first = !after && !before && !last;
  useAgainOnChange(page.refresh, first);

  const queues = useResource<Queue[]>('/api/queues');
  const queueNames = (queues.data ?? []).map((one) => one.queue);
  const [selected, setSelected] = useState<Set<string>>(new Set());
  const [all, setAll] = useState(false);
  const [adding, setAdding] = useState(param('enqueue') === '1');
  const [filtering, setFiltering] = useState(false);
  useEffect(() => {
    setSelected(new Set());
    setAll(false);
  }, [JSON.stringify(filter)]);

  const total = page.data?.total ?? 0;
  const more = page.data?.totalIsLowerBound === true;
  const totalText = `${more ? 'more than ' : ''}${count(total)}`;
  const sort = { by: order.split(':')[0] ?? '', descending: order.endsWith(':DESC') };
  const again = () => {
    steady.renew();
    page.refresh();
  };
  return (
    <>
      <PageHead
        title={text.title}
        actions={
          <>
            <ExportMenu state={state} />
            {can('produce') && <Button look="primary" icon="plus" onClick={() => setAdding(true)}>{text.enqueue.open}</Button>}
          </>
        }
      />
      <div class="jobs-layout">
        <StateList current={state} />
        <div class="stack jobs-list">
          <div class="row jobs-tools">
            <SearchBox label={text.searchLabel} placeholder={text.searchPlaceholder} suggest={suggest(queueNames)} onSubmit={search} />
            <Button icon="filter" onClick={() => setFiltering(true)}>{text.filters}</Button>
            <JumpToTime state={state} order={order} />
            <ColumnChoice />
          </div>
          <Chips />
          <Operations onEnd={again} />
          {selected.size > 0 && (
            <SelectionBar
              ids={selected}
              all={all}
              state={state}
              total={totalText}
              filter={filter}
              queues={queueNames}
              selectAll={() => setAll(true)}
              clear={() => {
                setSelected(new Set());
                setAll(false);
              }}
            />
          )}
          {page.error && (page.data ? <StaleNotice at={page.at} /> : <ErrorNotice error={page.error} retry={page.refresh} />)}
          {page.loading && <div class="table-wrap"><Loading rows={8} /></div>}
          {page.data && (
            <>
              <Table
                caption={text.caption(stateNames[state] ?? '')}
                columns={columns(state, steady.gone)}
                rows={steady.rows}
                id={(job) => job.id}
                to={(job) => `/jobs/${job.id}`}
                selection={can('operate') ? { ids: selected, change: (ids) => { setAll(false); setSelected(ids); } } : undefined}
                sort={sort}
                onSort={({ by, descending }) => setQuery({ order: `${by}:${descending ? 'DESC' : 'ASC'}`, ...kNoPage })}
                keys={rowKeys(again)}
                newer={first ? { count: steady.newer, show: steady.show } : undefined}
                empty={<NoJobs state={state} filtered={isFiltered(query)} />}
              />
              <Pager
                first={first ? undefined : () => setQuery({ ...kNoPage })}
                previous={page.data.previous ? () => setQuery({ ...kNoPage, before: page.data?.previous }) : undefined}
                next={page.data.next ? () => setQuery({ ...kNoPage, after: page.data?.next }) : undefined}
                last={page.data.next ? () => setQuery({ ...kNoPage, last: '1' }) : undefined}
                size={limit}
                onSize={(size) => {
                  setPref('pageSize', size);
                  setQuery({ limit: size, ...kNoPage });
                }}
              >
                {common.list.of(steady.rows.length, total, more)} · {common.list.asOf} <time>{clock(page.at)}</time>{' '}
                <Button small look="quiet" icon="refresh" label={common.actions.refresh} onClick={again} />
              </Pager>
            </>
          )}
        </div>
      </div>
      {adding && <Enqueue close={() => setAdding(false)} queues={queueNames} done={again} />}
      {filtering && <FilterForm close={() => setFiltering(false)} queues={queueNames} />}
    </>
  );
}

// --- states -----------------------------------------------------------------------------------

function StateList({ current }: { current: State | '' }) {
  const counts = useResource<Record<string, number>>('/api/jobs/counts');
  useAgainOnChange(counts.refresh, true);
  const known = counts.data ?? {};
  const sum = Object.values(known).reduce((a, b) => a + b, 0);
  // States of features that nobody uses would only be in the way.
  const shown = kStates.filter((state) => !['AWAITING', 'PROCESSED'].includes(state) || (known[state] ?? 0) > 0 || state === current);
  return (
    <nav class="state-list" aria-label={text.states}>
      {shown.map((state) => {
        const look = stateLook(state);
        return (
          <StateLink key={state} here={state === current} to={withQuery({ state, order: null, ...kNoPage })} n={counts.data && (known[state] ?? 0)}>
            <Icon name={look.icon} className={`tone-${look.tone}`} />
            <span class="grow">{look.name}</span>
          </StateLink>
        );
      })}
      <StateLink here={current === ''} to={withQuery({ state: 'ALL', order: null, ...kNoPage })} n={counts.data && sum}>
        <Icon name="jobs" />
        <span class="grow">{text.all}</span>
      </StateLink>
    </nav>
  );
}

function StateLink(props: { here: boolean; to: string; n: number | undefined; children: preact.ComponentChildren }) {
  return (
    <Link class="state-link" to={props.to} aria-current={props.here ? 'page' : undefined}>
      {props.children}
      <span class="state-count" title={props.n === undefined ? '' : count(props.n)}>{shortCount(props.n)}</span>
    </Link>
  );
}

// --- columns ----------------------------------------------------------------------------------

const kExtra = ['id', 'priority', 'created', 'createdBy'] as const;

function timeColumn(state: State | ''): Column<Job> {
  const scheduled = state === 'SCHEDULED';
  return {
    id: scheduled ? 'scheduledAt' : 'updatedAt',
    name: text.time[state] ?? text.changed,
    align: 'fit',
    sort: true,
    cell: (job) => <RelativeTime at={scheduled ? job.run_at : job.updated_at} />,
  };
}

function columns(state: State | '', gone: Set<string>): Column<Job>[] {
  const extra = prefs.value.columns;
  const list: (Column<Job> | false)[] = [
    {
      id: 'name',
      name: text.name,
      cell: (job) => (
        <div class={`cell-main${gone.has(job.id) ? ' gone' : ''}`}>
          <span class="row name-row">
            <Link class="cell-title plain" to={`/jobs/${job.id}`}>{visible(job.name || job.kind)}</Link>
            <Labels labels={job.labels} />
            {gone.has(job.id) && <span class="muted small">{text.gone}</span>}
          </span>
          <span class="cell-sub">
            {job.name && job.name !== job.kind ? `${visible(job.kind)} · ` : ''}
            <code>{job.id.slice(-12)}</code>
          </span>
          {state === 'FAILED' && job.error && (
            <span class="cell-sub error-text clip" title={job.error.message}>
              {visible(job.error.type)}: {visible(job.error.message)}
            </span>
          )}
        </div>
      ),
    },
    state === '' && { id: 'state', name: text.state, align: 'fit', cell: (job) => <StateBadge state={job.state} /> },
    { id: 'queue', name: text.queue, align: 'fit', cell: (job) => <Link class="subtle" to={`/queues/${encodeURIComponent(job.queue)}`}>{visible(job.queue)}</Link> },
    { id: 'attempt', name: text.attempt, align: 'num', cell: (job) => `${Math.max(job.attempt, 0)} / ${job.max_attempts}` },
    extra.includes('priority') && { id: 'priority', name: text.priority, align: 'num', cell: (job) => job.priority },
    extra.includes('createdBy') && { id: 'createdBy', name: text.createdBy, align: 'fit', cell: (job) => visible(job.created_by ?? '') },
    extra.includes('id') && { id: 'id', name: text.id, align: 'fit', cell: (job) => <code>{job.id}</code> },
    extra.includes('created') && { id: 'createdAt', name: text.created, align: 'fit', sort: true, cell: (job) => <RelativeTime at={job.created_at} /> },
    timeColumn(state),
  ];
  return list.filter((column): column is Column<Job> => column !== false);
}

function ColumnChoice() {
  const chosen = prefs.value.columns;
  const names: Record<(typeof kExtra)[number], string> = {
    id: text.id,
    priority: text.priority,
    created: text.created,
    createdBy: text.createdBy,
  };
  return (
    <Popover icon="columns" label={text.columns}>
      <div class="stack-s">
        <h2>{text.columns}</h2>
        {kExtra.map((name) => (
          <label key={name} class="check">
            <input
              type="checkbox"
              class="checkbox"
              checked={chosen.includes(name)}
              onChange={() => setPref('columns', chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name])}
            />
            {names[name]}
          </label>
        ))}
      </div>
    </Popover>
  );
}

// Where the list begins when it is ordered by time: from this instant on, in its direction.
function JumpToTime({ state, order }: { state: State | ''; order: string }) {
  const [at, setAt] = useState('');
  const kind = state === 'SCHEDULED' ? 'scheduled' : order.startsWith('createdAt') ? 'created' : 'updated';
  const go = (event: Event) => {
    event.preventDefault();
    setQuery({ [`${kind}${order.endsWith('DESC') ? 'Before' : 'After'}`]: new Date(at).toISOString(), ...kNoPage });
  };
  return (
    <Popover icon="clock" label={text.jump}>
      <form class="stack-s" onSubmit={go}>
        <Field name={text.jump} hint={text.jumpHint}>
          <input class="input" type="datetime-local" step={1} required value={at} onInput={(event) => setAt(event.currentTarget.value)} />
        </Field>
        <div><Button small type="submit" look="primary">{text.apply}</Button></div>
      </form>
    </Popover>
  );
}

function rowKeys(again: () => void): Record<string, (job: Job) => void> {
  if (!can('operate')) return {};
  const then = (done: Promise<boolean>) => void done.then((yes) => yes && again());
  return {
    r: (job) => canRequeue(job.state) && then(requeueOne(job.id)),
    d: (job) => mayDelete(job.state) && then(deleteOne(job.id, job.state)),
  };
}

// --- search, chips, export --------------------------------------------------------------------

function suggest(queues: string[]): (typed: string) => Promise<Suggestion[]> {
  return async (typed) => {
    const found = /(?:^|\s)(\w*)(?::(\S*))?$/.exec(typed);
    const [key = '', value] = [found?.[1], found?.[2]];
    const before = typed.slice(0, typed.length - (found?.[0].trimStart().length ?? 0));
    if (value === undefined)
      return [...Object.keys(kWords), 'state']
        .filter((word) => word.startsWith(key.toLowerCase()))
        .map((word) => ({ value: `${before}${word}:`, name: `${word}:`, hint: text.filterNames[kWords[word] ?? ''] ?? text.state, more: true }));
    const values = await valuesFor(key.toLowerCase(), value, queues);
    return values
      .filter((one) => one.toLowerCase().includes(value.toLowerCase()))
      .slice(0, 12)
      .map((one) => ({ value: `${before}${key}:${/\s/.test(one) ? `"${one}"` : one}`, name: one }));
  };
}

async function valuesFor(key: string, value: string, queues: string[]): Promise<string[]> {
  try {
    if (key === 'kind') return await api.get<string[]>('/api/kinds');
    if (key === 'label') return await api.get<string[]>(apiQuery('/api/labels', { prefix: value }));
    if (key === 'queue') return queues;
    if (key === 'state') return kStates.map((state) => state.toLowerCase());
  } catch {
    // without completion the field still works
  }
  return [];
}

function search(typed: string): void {
  const words = typed.trim();
  if (kJobId.test(words)) return navigate(`/jobs/${words}`);
  if (words) setQuery({ ...parse(words, params('label')), ...kNoPage });
}

function Chips() {
  const { query } = place.value;
  const shown: { key: string; name: string; value: string; without: string }[] = [];
  for (const name of kSingle) {
    const value = query.get(name);
    if (value) shown.push({ key: name, name: text.filterNames[name] ?? name, value, without: withQuery({ [name]: null, ...kNoPage }) });
  }
  const labels = query.getAll('label');
  for (const label of labels)
    shown.push({
      key: `label ${label}`,
      name: text.labels,
      value: label,
      without: withQuery({ label: labels.filter((one) => one !== label), ...kNoPage }),
    });
  if (shown.length === 0) return null;
  const none = Object.fromEntries([...kSingle, 'label'].map((name) => [name, null]));
  return (
    <div class="chips">
      {shown.map((chip) => (
        <span class="chip" key={chip.key}>
          <span><span class="muted">{chip.name}</span> {visible(chip.value)}</span>
          <button type="button" aria-label={`${common.actions.remove}: ${chip.name} ${chip.value}`} onClick={() => navigate(chip.without)}>
            <Icon name="close" />
          </button>
        </span>
      ))}
      <Button small look="quiet" onClick={() => setQuery({ ...none, ...kNoPage })}>{text.reset}</Button>
    </div>
  );
}

function ExportMenu({ state }: { state: State | '' }) {
  const leave = (format: string) => {
    const parameters: Record<string, string | string[]> = { format };
    if (state) parameters['state'] = state;
    for (const name of kSingle) if (param(name)) parameters[name] = param(name);
    parameters['label'] = params('label');
    window.location.assign(url(apiQuery('/api/export/jobs', parameters)));
  };
  return (
    <Menu
      label={text.export}
      items={[
        { name: text.csv, act: () => leave('csv') },
        { name: text.jsonl, act: () => leave('jsonl') },
      ]}
    >
      <Icon name="download" />
      {text.export}
    </Menu>
  );
}

function NoJobs({ state, filtered }: { state: State | ''; filtered: boolean }) {
  if (filtered) return <EmptyState icon="search" title={text.empty.filtered} />;
  return (
    <EmptyState icon={state ? stateLook(state).icon : 'inbox'} title={text.empty.none} command={text.empty.commands[state]}>
      {text.empty.hint[state]}
    </EmptyState>
  );
}
