// SPDX-License-Identifier: Apache-2.0
// Work on many jobs that the server does by and by: how far it is, and a way to stop it.
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { api } from '../../lib/api';
import { visible } from '../../lib/plain';
import { useResource } from '../../lib/resource';
import { attempt } from '../../lib/toast';
import type { Operation } from '../../lib/types';
import { jobs as text } from '../../text/jobs';
import { Button, Icon, ProgressBar } from '../../ui';

const followed = signal<string[]>([]); // begun on this page
const closed = signal<string[]>([]);

export function follow(id: string): void {
  followed.value = [...followed.peek(), id];
}

function close(id: string): void {
  closed.value = [...closed.peek(), id];
}

// Those begun here, and those that others began and that still run.
export function Operations({ onEnd }: { onEnd: () => void }) {
  const running = useResource<Operation[]>('/api/operations');
  const others = (running.data ?? []).filter((one) => one.state === 'running').map((one) => one.id);
  const ids = [...new Set([...followed.value, ...others])].filter((id) => !closed.value.includes(id));
  return (
    <>
      {ids.map((id) => (
        <OperationCard key={id} id={id} onEnd={onEnd} />
      ))}
    </>
  );
}

function OperationCard({ id, onEnd }: { id: string; onEnd: () => void }) {
  const { data } = useResource<Operation>(`/api/operations/${encodeURIComponent(id)}`, {
    topic: `operation:${id}`,
  });
  const ended = data !== undefined && data.state !== 'running';
  useEffect(() => {
    if (ended) onEnd();
  }, [ended]);
  if (!data) return null;
  const stop = () =>
    void attempt(() => api.remove(`/api/operations/${encodeURIComponent(id)}`), text.operation.stopped);
  return (
    <section class="card operation" aria-label={text.operation.title}>
      <div class="row-between">
        <span>
          <Icon name={data.state === 'running' ? 'hourglass' : data.state === 'done' ? 'check-circle' : 'info'} />{' '}
          <strong>{visible(data.what || data.action)}</strong>{' '}
          <span class="muted">
            {text.operation.states[data.state]} · {text.operation.doneOf(data.done, data.matching)}
            {data.failed > 0 && ` · ${text.operation.failed(data.failed)}`}
            {data.error && ` · ${visible(data.error)}`}
          </span>
        </span>
        {ended ? (
          <Button small look="quiet" icon="close" label={text.operation.hide} onClick={() => close(id)} />
        ) : (
          <Button small icon="stop" onClick={stop}>{text.operation.stop}</Button>
        )}
      </div>
      <ProgressBar done={data.done} failed={data.failed} total={data.matching} label={visible(data.what || data.action)} />
    </section>
  );
}
