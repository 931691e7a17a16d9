// SPDX-License-Identifier: Apache-2.0
// Actions on some jobs, or on all that match: the server counts first, then a person confirms, then
// the server works while the page shows how far it is.
import { useState } from 'preact/hooks';
import { api } from '../../lib/api';
import { can } from '../../lib/session';
import { canDelete } from '../../lib/states';
import { attempt, toast, toastError } from '../../lib/toast';
import { jobs as text } from '../../text/jobs';
import { text as common } from '../../text/common';
import { Button, confirm, Dialog, Field } from '../../ui';
import { count } from '../../lib/format';
import type { Filter } from './filters';
import { follow } from './operations';

export type Action = 'requeue' | 'delete' | 'reschedule' | 'move' | 'priority';

export type Which = { ids: string[] } | { filter: Filter };

export interface Parameters {
  runAt?: string;
  queue?: string;
  priority?: number;
}

interface Matching {
  matching: number;
  lowerBound?: boolean;
}

const kBack: Record<Action, string> = {
  requeue: text.ask.requeueBack,
  delete: text.ask.deleteBack,
  reschedule: text.ask.changeBack,
  move: text.ask.changeBack,
  priority: text.ask.changeBack,
};

// True when the server has begun.
export async function bulk(action: Action, which: Which, params: Parameters = {}): Promise<boolean> {
  try {
    const body = { action, ...which, params };
    const found = await api.post<Matching>('/api/jobs/bulk', { ...body, dryRun: true });
    const many = text.ask.jobs(found.matching, found.lowerBound === true);
    const what = action === 'delete' ? text.ask.deleteWhat : action === 'requeue' ? text.ask.requeueWhat : '';
    const yes = await confirm({
      title: text.ask[action](many),
      what: `${what} ${text.ask.skipped}`.trim(),
      action: `${text.action[action]} (${count(found.matching)}${found.lowerBound ? '+' : ''})`,
      danger: action === 'delete',
      reversible: kBack[action],
      count: found.lowerBound ? Number.MAX_SAFE_INTEGER : found.matching,
      name: action,
    });
    if (!yes) return false;
    const { operationId } = await api.post<{ operationId: string }>('/api/jobs/bulk', body);
    follow(operationId);
    toast(text.done.begun);
    return true;
  } catch (error) {
    toastError(error);
    return false;
  }
}

export function localInput(at: Date): string {
  const shifted = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 19);
}

interface AskProps {
  action: 'reschedule' | 'move' | 'priority';
  queues: string[];
  close: () => void;
  go: (params: Parameters) => void;
}

// What an action has to know before it can be counted.
export function AskParameters({ action, queues, close, go }: AskProps) {
  const [value, setValue] = useState(action === 'reschedule' ? localInput(new Date(Date.now() + 300_000)) : '');
  const submit = (event: Event) => {
    event.preventDefault();
    if (action === 'reschedule') go({ runAt: new Date(value).toISOString() });
    else if (action === 'move') go({ queue: value });
    else go({ priority: Number(value) });
  };
  const field = {
    class: 'input',
    value,
    required: true,
    onInput: (event: Event) => setValue((event.currentTarget as HTMLInputElement).value),
    'data-autofocus': true,
  };
  return (
    <Dialog title={text.action[action]} close={close}>
      <form class="stack" onSubmit={submit}>
        {action === 'reschedule' && <Field name={text.at}><input {...field} type="datetime-local" step={1} /></Field>}
        {action === 'move' && (
          <Field name={text.toQueue}>
            <input {...field} list="known-queues" />
            <datalist id="known-queues">{queues.map((name) => <option key={name} value={name} />)}</datalist>
          </Field>
        )}
        {action === 'priority' && <Field name={text.toPriority}><input {...field} type="number" min={0} max={9} /></Field>}
        <div class="row">
          <Button type="submit" look="primary">{text.action[action]}</Button>
          <Button onClick={close}>{common.actions.cancel}</Button>
        </div>
      </form>
    </Dialog>
  );
}

interface BarProps {
  ids: Set<string>;
  all: boolean;
  state: string; // of all of them; empty: several
  total: string; // of all that match
  filter: Filter;
  queues: string[];
  selectAll: () => void;
  clear: () => void;
}

export function SelectionBar(props: BarProps) {
  const [asking, setAsking] = useState<AskProps['action'] | undefined>();
  const which: Which = props.all ? { filter: props.filter } : { ids: [...props.ids] };
  const act = async (action: Action, params?: Parameters) => {
    setAsking(undefined);
    if (await bulk(action, which, params)) props.clear();
  };
  const operate = can('operate');
  return (
    <div class="selection-bar" role="region" aria-label={common.list.selected(props.ids.size)}>
      <strong>{props.all ? text.allSelected(props.total) : common.list.selected(props.ids.size)}</strong>
      {!props.all && <Button small look="quiet" onClick={props.selectAll}>{text.selectAll(props.total)}</Button>}
      <Button small look="quiet" onClick={props.clear}>{text.clearSelection}</Button>
      <span class="grow" />
      {operate && (
        <>
          <Button small icon="refresh" onClick={() => void act('requeue')}>{text.action.requeue}</Button>
          <Button small icon="clock" onClick={() => setAsking('reschedule')}>{text.action.reschedule}</Button>
          <Button small icon="queues" onClick={() => setAsking('move')}>{text.action.move}</Button>
          <Button small icon="up" onClick={() => setAsking('priority')}>{text.action.priority}</Button>
          {mayDelete(props.state) && (
            <Button small look="danger" icon="trash" onClick={() => void act('delete')}>
              {props.state === 'PROCESSING' ? text.action.cancel : text.action.delete}
            </Button>
          )}
        </>
      )}
      {asking && (
        <AskParameters action={asking} queues={props.queues} close={() => setAsking(undefined)} go={(params) => void act(asking, params)} />
      )}
    </div>
  );
}

// An operator cancels what runs; deleting is an admin's.
export function mayDelete(state: string): boolean {
  return state === 'PROCESSING' ? can('operate') : canDelete(state) && can('admin');
}

// --- one job ----------------------------------------------------------------------------------

export function requeueOne(id: string): Promise<boolean> {
  return attempt(() => api.post(`/v1/jobs/${encodeURIComponent(id)}/requeue`), text.done.requeue);
}

export async function deleteOne(id: string, state: string): Promise<boolean> {
  const running = state === 'PROCESSING';
  const yes = await confirm({
    title: running ? text.ask.cancelOne : text.ask.deleteOne,
    what: running ? text.ask.cancelWhat : id,
    action: running ? text.action.cancel : text.action.delete,
    danger: true,
    reversible: text.ask.deleteBack,
  });
  if (!yes) return false;
  return attempt(
    () => api.remove(`/v1/jobs/${encodeURIComponent(id)}`, {}),
    running ? text.done.cancel : text.done.delete,
  );
}

export function scheduleOne(id: string, at: string): Promise<boolean> {
  return attempt(
    () => api.post(`/v1/jobs/${encodeURIComponent(id)}/schedule`, { run_at: at }),
    text.done.schedule,
  );
}
