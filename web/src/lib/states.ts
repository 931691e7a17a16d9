// SPDX-License-Identifier: Apache-2.0
// The states of a job, in the order in which they are lived through.
export const kStates = [
  'AWAITING',
  'SCHEDULED',
  'ENQUEUED',
  'PROCESSING',
  'PROCESSED',
  'SUCCEEDED',
  'FAILED',
  'DELETED',
] as const;

export type State = (typeof kStates)[number];

export function isState(text: string): text is State {
  return (kStates as readonly string[]).includes(text);
}

// What the table of transitions allows by request; the server has the last word.
export function canRequeue(state: string): boolean {
  return state !== 'ENQUEUED' && state !== 'PROCESSING';
}

export function canDelete(state: string): boolean {
  return state !== 'DELETED';
}

export function canSchedule(state: string): boolean {
  return state !== 'PROCESSING' && state !== 'PROCESSED';
}
