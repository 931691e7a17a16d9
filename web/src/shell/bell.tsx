// SPDX-License-Identifier: Apache-2.0
// Problems that the server found by itself, each with its cause and what to do.
import { api } from '../lib/api';
import { visible } from '../lib/plain';
import { useResource } from '../lib/resource';
import { can } from '../lib/session';
import { attempt } from '../lib/toast';
import type { Problem } from '../lib/types';
import { text } from '../text/common';
import { Button, EmptyState, Icon, RelativeTime } from '../ui';
import { Popover } from './top_bar';

export function useProblems() {
  return useResource<Problem[]>('/api/problems', { topic: 'problems' });
}

export function Bell() {
  const problems = useProblems();
  const list = problems.data ?? [];
  const worst = list.some((one) => one.severity === 'error') ? 'error' : 'warning';
  return (
    <Popover
      icon="bell"
      label={text.bell.open(list.length)}
      mark={list.length > 0 && <span class={`bell-mark ${worst}`} aria-hidden="true">{list.length}</span>}
    >
      <h2>{text.bell.title}</h2>
      {list.length === 0 ? (
        <EmptyState icon="check-circle" title={text.bell.none}>{text.bell.noneHint}</EmptyState>
      ) : (
        <ProblemList problems={list} refresh={problems.refresh} />
      )}
    </Popover>
  );
}

export function ProblemList({ problems, refresh }: { problems: Problem[]; refresh: () => void }) {
  const dismiss = async (problem: Problem) => {
    if (await attempt(() => api.remove(`/api/problems/${encodeURIComponent(problem.type)}`))) refresh();
  };
  return (
    <ul class="problems">
      {problems.map((problem) => (
        <li key={problem.type} class={`problem ${problem.severity}`}>
          <Icon name={problem.severity === 'info' ? 'info' : 'warning'} />
          <div class="grow">
            <p class="strong break">{visible(problem.title)}</p>
            <p class="subtle break">{visible(problem.cause)}</p>
            {problem.fix && <p class="break"><span class="muted">{text.bell.fix}:</span> {visible(problem.fix)}</p>}
            <p class="muted small">
              {text.bell.since} <RelativeTime at={problem.createdAt} />
            </p>
          </div>
          {problem.dismissible && can('operate') && (
            <Button small look="quiet" icon="close" label={text.actions.dismiss} onClick={() => void dismiss(problem)} />
          )}
        </li>
      ))}
    </ul>
  );
}
