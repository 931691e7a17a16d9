// SPDX-License-Identifier: Apache-2.0
import { useState } from 'preact/hooks';
import { query } from '../../lib/api';
import { visible } from '../../lib/plain';
import { useResource } from '../../lib/resource';
import { param, setQuery } from '../../lib/router';
import { executions as words } from '../../text/executions';
import { Button, EmptyState, Field, Link, PageHead, RelativeTime, Show, Table, Tabs, type Column } from '../../ui';
import { executionPath, type Execution, type ExecutionPage } from './execution';
import { ExitText, StatusBadge, Took } from './parts';

const kColumns: Column<Execution>[] = [
  {
    id: 'execution', name: words.columns.execution,
    cell: ({ name, job, group }) => (
      <div class="cell-main">
        <Link class="cell-title plain mono" to={executionPath(name)}>{visible(name)}</Link>
        <span class="cell-sub">{visible(job)}{group && ` · ${visible(group)}`}</span>
      </div>
    ),
  },
  { id: 'state', name: words.columns.state, align: 'fit', cell: ({ status }) => <StatusBadge status={status} /> },
  {
    id: 'trigger', name: words.columns.trigger,
    cell: ({ trigger, message }) => (
      <div class="cell-main">
        <span class="break">{visible(trigger ?? '')}</span>
        {message && <span class="cell-sub">{visible(words.message(message.entity, message.sequence))}</span>}
      </div>
    ),
  },
  { id: 'start', name: words.columns.start, cell: ({ startedAt, createdAt }) => <RelativeTime at={startedAt ?? createdAt} /> },
  { id: 'duration', name: words.columns.duration, align: 'num', cell: (execution) => <Took execution={execution} /> },
  { id: 'end', name: words.columns.end, cell: (execution) => <ExitText {...execution} /> },
  { id: 'retries', name: words.columns.retries, align: 'num', cell: ({ retries }) => retries },
];

export function ExecutionTabs({ current }: { current: 'executions' | 'jobs' }) {
  return (
    <Tabs
      label={words.tabs.label} current={current}
      tabs={[{ id: 'executions', name: words.tabs.executions, to: '/executions' }, { id: 'jobs', name: words.tabs.jobs, to: '/executions/jobs' }]}
    />
  );
}

function Filters() {
  const [job, setJob] = useState(param('job'));
  const [group, setGroup] = useState(param('group'));
  const submit = (event: Event) => {
    event.preventDefault();
    setQuery({ job, group, after: null });
  };
  return (
    <form class="row filters" onSubmit={submit}>
      <Field name={words.filter.job}><input class="input" value={job} onInput={(event) => setJob(event.currentTarget.value)} onChange={submit} /></Field>
      <Field name={words.filter.group}><input class="input" value={group} onInput={(event) => setGroup(event.currentTarget.value)} onChange={submit} /></Field>
      <Field name={words.filter.state}>
        <select class="select" value={param('state')} onChange={(event) => setQuery({ state: event.currentTarget.value, after: null })}>
          <option value="">{words.filter.any}</option>
          {words.states.map((state) => <option key={state} value={state}>{state}</option>)}
        </select>
      </Field>
    </form>
  );
}

export default function Executions() {
  const filter = { job: param('job'), group: param('group'), state: param('state') };
  const after = param('after');
  const page = useResource<ExecutionPage>(query('/api/executions', { ...filter, after, limit: 50 }), { everyMs: after ? 0 : 3_000 });
  const filtered = Object.values(filter).some(Boolean);
  return (
    <>
      <PageHead title={words.title} sub={words.sub} />
      <ExecutionTabs current="executions" />
      <Filters />
      <Show of={page}>
        {({ items, next }) => (
          <>
            <Table
              caption={words.caption} columns={kColumns} rows={items} id={({ name }) => name} to={({ name }) => executionPath(name)}
              empty={filtered || after
                ? <EmptyState icon="filter" title={words.emptyFiltered} />
                : <EmptyState icon="executions" title={words.empty} command={words.emptyCommand}>{words.emptyHint}</EmptyState>}
            />
            {(after || next) && (
              <nav class="pager" aria-label="Pages">
                <span />
                <div class="group">
                  <Button small disabled={!after} onClick={() => setQuery({ after: null })}>{words.first}</Button>
                  <Button small disabled={!next} onClick={() => setQuery({ after: next })}>{words.next}</Button>
                </div>
              </nav>
            )}
          </>
        )}
      </Show>
    </>
  );
}
