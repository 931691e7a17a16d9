// SPDX-License-Identifier: Apache-2.0
import { api } from '../../lib/api';
import { visible } from '../../lib/plain';
import { can } from '../../lib/session';
import { attempt } from '../../lib/toast';
import type { Recurring } from '../../lib/types';
import { recurring as text } from '../../text/recurring';
import { confirm, type MenuItem } from '../../ui';

export function pathOf(id: string, action = ''): string {
  return `/api/recurring-jobs/${encodeURIComponent(id)}${action && `/${action}`}`;
}

export type Command = 'trigger' | 'pause' | 'resume' | 'delete';

export async function command(what: Command, ids: string[]): Promise<boolean> {
  if (what === 'delete') {
    const yes = await confirm({
      title: text.askDelete(ids.length === 1 ? visible(ids[0] ?? '') : text.many(ids.length)),
      what: text.deleteWhat,
      action: text.delete,
      danger: true,
      reversible: text.deleteBack,
      count: ids.length,
      name: 'delete',
    });
    if (!yes) return false;
  }
  const one = (id: string) => (what === 'delete' ? api.remove(pathOf(id)) : api.post(pathOf(id, what)));
  return attempt(async () => {
    for (const id of ids) await one(id);
  }, text.done[what]);
}

export function items(job: Recurring, again: () => void, edit: () => void): (MenuItem | false)[] {
  const act = (what: Command) => () => void command(what, [job.id]).then((yes) => yes && again());
  const admin = can('admin');
  return [
    can('operate') && { name: text.trigger, act: act('trigger') },
    can('operate') && { name: job.paused ? text.resume : text.pause, act: act(job.paused ? 'resume' : 'pause') },
    admin && { name: `${text.edit}…`, act: edit },
    admin && { name: `${text.delete}…`, act: act('delete'), danger: true },
  ];
}
