// SPDX-License-Identifier: Apache-2.0
// The filters of the list of jobs, between three forms: the address, what a person types, and what
// the server is asked.
import { place } from '../../lib/router';
import { kStates, isState, type State } from '../../lib/states';

export interface Filter {
  [name: string]: unknown;
}

export const kTexts = [
  'name', 'kind', 'queue', 'errorType', 'errorText', 'fingerprint', 'failureFingerprint',
  'recurringId', 'text',
] as const;
export const kTimes = [
  'createdAfter', 'createdBefore', 'updatedAfter', 'updatedBefore', 'scheduledAfter',
  'scheduledBefore',
] as const;
export const kNumbers = ['minDurationMs', 'minAttempt'] as const;
export const kSingle = [...kTexts, ...kTimes, ...kNumbers, 'arg'] as const;

// What may be typed before a colon, and the filter that it means.
export const kWords: Record<string, string> = {
  name: 'name',
  kind: 'kind',
  queue: 'queue',
  label: 'label',
  error: 'errorText',
  type: 'errorType',
  recurring: 'recurringId',
  arg: 'arg',
  attempt: 'minAttempt',
  duration: 'minDurationMs',
};

export function chosenState(): State | '' {
  const given = place.value.query.get('state');
  if (given === null) return 'ENQUEUED';
  return isState(given) ? given : '';
}

const kArgument = /^\s*([^\s=<>!]+)\s*(<=|>=|!=|=|<|>)\s*(.*)$/;

// "0.customer = 42"
export function argument(text: string): { path: string; op: string; value: unknown } | undefined {
  const found = kArgument.exec(text);
  if (!found) return undefined;
  const [, path = '', op = '=', value = ''] = found;
  try {
    return { path, op, value: JSON.parse(value) as unknown };
  } catch {
    return { path, op, value };
  }
}

export function filterOf(query: URLSearchParams, state: State | ''): Filter {
  const filter: Filter = {};
  if (state) filter['state'] = [state];
  const labels = query.getAll('label');
  if (labels.length > 0) filter['label'] = labels;
  for (const name of [...kTexts, ...kTimes]) {
    const value = query.get(name);
    if (value) filter[name] = value;
  }
  for (const name of kNumbers) {
    const value = Number(query.get(name) ?? '');
    if (query.get(name) && Number.isFinite(value)) filter[name] = value;
  }
  const arg = argument(query.get('arg') ?? '');
  if (arg) filter['arg'] = arg;
  return filter;
}

export function isFiltered(query: URLSearchParams): boolean {
  return query.has('label') || kSingle.some((name) => query.get(name));
}

// The newest first where one looks for what just happened, else the one whose turn is next.
export function defaultOrder(state: State | ''): string {
  if (state === 'SCHEDULED') return 'scheduledAt:ASC';
  if (state === '' || state === 'FAILED' || state === 'SUCCEEDED' || state === 'DELETED')
    return 'updatedAt:DESC';
  return 'updatedAt:ASC';
}

const kToken = /(\w+):"([^"]*)"|(\w+):(\S+)|"([^"]*)"|(\S+)/g;

// What was typed, as changes of the address.
export function parse(typed: string, labels: string[]): Record<string, string | string[]> {
  const change: Record<string, string | string[]> = {};
  const words: string[] = [];
  const moreLabels = [...labels];
  for (const found of typed.matchAll(kToken)) {
    const key = (found[1] ?? found[3] ?? '').toLowerCase();
    const value = found[2] ?? found[4] ?? '';
    const filter = kWords[key];
    if (key === 'state' && kStates.includes(value.toUpperCase() as State)) change['state'] = value.toUpperCase();
    else if (filter === 'label') moreLabels.push(value);
    else if (filter) change[filter] = value;
    else words.push(found[5] ?? found[0]);
  }
  if (words.length > 0) change['text'] = words.join(' ');
  if (moreLabels.length > labels.length) change['label'] = [...new Set(moreLabels)];
  return change;
}

// The parameters of a page of the list: they go when a filter changes.
export const kNoPage = { after: null, before: null, last: null };
