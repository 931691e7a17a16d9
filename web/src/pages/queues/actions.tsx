// SPDX-License-Identifier: Apache-2.0
import { api } from '../../lib/api';
import { plural } from '../../lib/format';
import { visible } from '../../lib/plain';
import { attempt, toastError } from '../../lib/toast';
import type { Queue } from '../../lib/types';
import { queues as text } from '../../text/queues';
import { confirm } from '../../ui';
import { follow } from '../jobs/operations';

function path(queue: Queue, action: string): string {
  return `/api/queues/${encodeURIComponent(queue.queue)}/${action}`;
}

export async function pauseOrResume(queue: Queue, again: () => void): Promise<void> {
  if (!queue.paused) {
    const yes = await confirm({
      title: text.askPause(visible(queue.queue)),
      what: text.pauseWhat,
      action: text.pause,
      reversible: text.pauseBack,
    });
    if (!yes) return;
  }
  const done = queue.paused ? text.didResume : text.didPause;
  if (await attempt(() => api.post(path(queue, queue.paused ? 'resume' : 'pause')), done)) again();
}

export async function purge(queue: Queue): Promise<void> {
  try {
    const { matching } = await api.post<{ matching: number }>(path(queue, 'purge'), { dryRun: true });
    const yes = await confirm({
      title: text.askPurge(plural(matching, 'job'), visible(queue.queue)),
      what: text.purgeWhat,
      action: text.purge,
      danger: true,
      reversible: text.purgeBack,
      count: matching,
      name: queue.queue,
    });
    if (!yes) return;
    follow((await api.post<{ operationId: string }>(path(queue, 'purge'))).operationId);
  } catch (error) {
    toastError(error);
  }
}
