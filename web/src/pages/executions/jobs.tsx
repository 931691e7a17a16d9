// SPDX-License-Identifier: Apache-2.0
// The definitions that executions are started from.
import { useState } from 'preact/hooks';
import { api } from '../../lib/api';
import { visible } from '../../lib/plain';
import { useResource } from '../../lib/resource';
import { navigate } from '../../lib/router';
import { can } from '../../lib/session';
import { attempt, toast } from '../../lib/toast';
import { text as common } from '../../text/common';
import { executions as words } from '../../text/executions';
import { Badge, Button, Dialog, EmptyState, Field, Link, PageHead, Show, Table, type Column } from '../../ui';
import { executionPath, type ContainerJob } from './execution';
import { ExecutionTabs } from './list';

export default function ContainerJobs() {
  const jobs = useResource<ContainerJob[]>('/api/container-jobs', { everyMs: 3_000 });
  const [starting, setStarting] = useState<ContainerJob | null>(null);
  const columns: Column<ContainerJob>[] = [
    {
      id: 'name', name: words.jobs.columns.name,
      cell: ({ name, group }) => (
        <div class="cell-main">
          <Link class="cell-title plain" to={executionsOf(name)}>{visible(name)}</Link>
          <span class="cell-sub">{visible(group)}</span>
        </div>
      ),
    },
    { id: 'trigger', name: words.jobs.columns.trigger, cell: ({ triggerType }) => triggerType },
    { id: 'running', name: words.jobs.columns.running, align: 'num', cell: ({ running }) => running },
    {
      id: 'state', name: words.jobs.columns.state,
      cell: ({ suspended }) => suspended ? <Badge tone="amber" icon="pause">{words.jobs.suspended}</Badge> : <Badge tone="green" icon="check-circle">{words.jobs.active}</Badge>,
    },
  ];
  if (can('operate'))
    columns.push({ id: 'actions', name: common.actions.more, hideName: true, align: 'fit', cell: (job) => <Button small icon="play" onClick={() => setStarting(job)}>{words.actions.start}</Button> });
  return (
    <>
      <PageHead title={words.tabs.jobs} sub={words.jobs.emptyHint} />
      <ExecutionTabs current="jobs" />
      <Show of={jobs}>
        {(list) => (
          <Table
            caption={words.jobs.caption} columns={columns} rows={list} id={({ name, group }) => `${group}/${name}`} to={({ name }) => executionsOf(name)}
            empty={<EmptyState icon="executions" title={words.jobs.empty} command={words.jobs.emptyCommand}>{words.jobs.emptyHint}</EmptyState>}
          />
        )}
      </Show>
      {starting && <StartDialog job={starting} close={() => setStarting(null)} />}
    </>
  );
}

function executionsOf(name: string): string {
  return `/executions?job=${encodeURIComponent(name)}`;
}

// --- start now --------------------------------------------------------------------------------

interface Container {
  name: string;
  image?: string;
  command?: string[];
  args?: string[];
  env?: { name: string; value?: string; secretRef?: string }[];
}

interface Template {
  containers: Container[];
  initContainers?: Container[];
}

const kSubscription = '00000000-0000-0000-0000-000000000000'; // a label: the server has one

function resourcePath({ group, name }: ContainerJob): string {
  return `/subscriptions/${kSubscription}/resourceGroups/${encodeURIComponent(group)}/providers/Microsoft.App/jobs/${encodeURIComponent(name)}?api-version=2024-03-01`;
}

function lines(text: string): string[] {
  return text.split('\n').map((line) => line.trim()).filter(Boolean);
}

function StartDialog({ job, close }: { job: ContainerJob; close: () => void }) {
  const resource = useResource<{ properties: { template: Template } }>(resourcePath(job));
  return (
    <Show of={resource}>
      {({ properties }) => <StartForm job={job} template={properties.template} close={close} />}
    </Show>
  );
}

function StartForm({ job, template, close }: { job: ContainerJob; template: Template; close: () => void }) {
  const first = template.containers[0];
  const [image, setImage] = useState(first?.image ?? '');
  const [command, setCommand] = useState((first?.command ?? []).join('\n'));
  const [args, setArgs] = useState((first?.args ?? []).join('\n'));
  const [env, setEnv] = useState('');
  const wrong = lines(env).find((line) => !/^[A-Za-z_][A-Za-z0-9_]*=/.test(line));

  const overrides = (): Template => {
    const more = lines(env).map((line) => ({ name: line.slice(0, line.indexOf('=')), value: line.slice(line.indexOf('=') + 1) }));
    const kept = (first?.env ?? []).filter(({ name }) => !more.some((one) => one.name === name));
    const changed = { ...first, name: first?.name ?? 'main', image, command: lines(command), args: lines(args), env: [...kept, ...more] };
    return { ...template, containers: [changed, ...template.containers.slice(1)] };
  };
  const start = async () => {
    let id = '';
    const path = `/api/container-jobs/${encodeURIComponent(job.group)}/${encodeURIComponent(job.name)}/start`;
    const ok = await attempt(async () => {
      id = (await api.post<{ id: string }>(path, { overrides: overrides() })).id;
    });
    if (!ok) return;
    close();
    toast(words.started(id));
    navigate(executionPath(id));
  };
  const s = words.start;
  return (
    <Dialog
      title={s.title(job.name)} close={close}
      foot={
        <>
          <Button data-autofocus onClick={close}>{common.actions.cancel}</Button>
          <Button look="primary" icon="play" disabled={wrong !== undefined} onClick={() => void start()}>{s.button}</Button>
        </>
      }
    >
      <p class="subtle">{s.hint}</p>
      <Field name={s.image}><input class="input mono" value={image} onInput={(event) => setImage(event.currentTarget.value)} /></Field>
      <Field name={s.command} hint={s.words}><textarea class="textarea" rows={3} value={command} onInput={(event) => setCommand(event.currentTarget.value)} /></Field>
      <Field name={s.args} hint={s.words}><textarea class="textarea" rows={2} value={args} onInput={(event) => setArgs(event.currentTarget.value)} /></Field>
      <Field name={s.env} hint={s.envHint} wrong={wrong === undefined ? undefined : s.envWrong(wrong)}>
        <textarea class="textarea" rows={2} value={env} onInput={(event) => setEnv(event.currentTarget.value)} />
      </Field>
    </Dialog>
  );
}
