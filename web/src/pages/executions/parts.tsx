// SPDX-License-Identifier: Apache-2.0
import { api } from '../../lib/api';
import { Elapsed, Badge, Button, confirm, Duration } from '../../ui';
import { navigate } from '../../lib/router';
import { can } from '../../lib/session';
import { attempt, toast } from '../../lib/toast';
import { executions as words } from '../../text/executions';
import { executionApi, executionPath, look, unfinished, type Execution } from './execution';

export function StatusBadge({ status }: { status: string }) {
  const [icon, tone] = look(status);
  return <Badge icon={icon} tone={tone}>{status}</Badge>;
}

export function ExitText({ exitCode, signal }: { exitCode?: number | undefined; signal?: number | undefined }) {
  if (signal) return <span>{words.signal(signal)}</span>;
  if (exitCode === undefined) return <span class="muted">–</span>;
  return <span class={exitCode === 0 ? '' : 'strong'}>{words.exit(exitCode)}</span>;
}

export function Took({ execution }: { execution: Execution }) {
  if (execution.durationMs !== undefined) return <Duration ms={execution.durationMs} />;
  return <Elapsed since={execution.startedAt} />;
}

async function stop(execution: Execution, done: () => void): Promise<void> {
  const yes = await confirm({
    title: words.stopTitle(execution.name), what: words.stopWhat, action: words.actions.stop, danger: true, reversible: words.stopReversible,
  });
  if (yes && (await attempt(() => api.post(`${executionApi(execution.name)}/stop`), words.stopped))) done();
}

async function rerun(execution: Execution): Promise<void> {
  let id = '';
  const ok = await attempt(async () => {
    id = (await api.post<{ id: string }>(`${executionApi(execution.name)}/rerun`)).id;
  });
  if (!ok) return;
  toast(words.started(id));
  navigate(executionPath(id));
}

// What a role may not do is not there.
export function ExecutionActions({ execution, done }: { execution: Execution; done: () => void }) {
  if (!can('operate')) return null;
  return (
    <>
      <Button icon="refresh" onClick={() => void rerun(execution)}>{words.actions.rerun}</Button>
      {unfinished(execution.status) && <Button look="danger" icon="stop" onClick={() => void stop(execution, done)}>{words.actions.stop}</Button>}
    </>
  );
}
