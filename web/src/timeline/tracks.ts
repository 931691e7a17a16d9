// SPDX-License-Identifier: Apache-2.0
// The rows of the timeline: which numbers each has, and how they are drawn. Colour says the same
// thing on every row; the way a line is drawn says it again for those who do not see the colour.

export type Shape = 'line' | 'dashed' | 'dotted' | 'step' | 'area';

export interface Curve {
  track: string; // its name in the series
  slopes?: boolean; // between its points it grows; others hold until the next point
  label: string;
  shape: Shape;
  colour: string; // a custom property without its dashes
}

export interface Level {
  limit: 'min' | 'max' | 'inflight' | 'waitTargetMs';
  label: string;
}

export interface Row {
  name: string;
  label: string;
  unit: 'rate' | 'count' | 'duration';
  hint: string;
  height: number;
  stacked: Curve[]; // areas on top of each other, the lowest first
  curves: Curve[];
  levels: Level[];
}

export const kRows: Row[] = [
  {
    name: 'arrivals', label: 'Arrivals', unit: 'rate', height: 74, hint: 'Work that comes, and work that is done, per second',
    stacked: [],
    curves: [
      { track: 'arrivals', label: 'arriving', shape: 'line', colour: 'chart-in' },
      { track: 'completions', label: 'completed', shape: 'dashed', colour: 'chart-out' },
    ],
    levels: [],
  },
  {
    name: 'backlog', label: 'Backlog', unit: 'count', height: 84, hint: 'Work that is ready, and the part of it that may be taken now',
    stacked: [],
    curves: [
      { track: 'backlog', label: 'ready', shape: 'area', colour: 'chart-backlog' },
      { track: 'consumable', label: 'consumable', shape: 'dashed', colour: 'chart-consumable' },
      { track: 'scheduled', label: 'scheduled soon', shape: 'dotted', colour: 'chart-scheduled' },
    ],
    levels: [],
  },
  {
    name: 'inflight', label: 'In flight', unit: 'count', height: 62, hint: 'Work that runs, and how much may run at once',
    stacked: [],
    curves: [{ track: 'inflight', label: 'running', shape: 'step', colour: 'chart-out' }],
    levels: [{ limit: 'inflight', label: 'limit' }],
  },
  {
    name: 'wait', label: 'Wait', unit: 'duration', height: 74, hint: 'Age of the oldest item, and what 95 of 100 waited at most',
    stacked: [],
    curves: [
      { track: 'oldestWaitMs', slopes: true, label: 'oldest', shape: 'line', colour: 'chart-wait' },
      { track: 'p95WaitMs', label: 'p95', shape: 'dashed', colour: 'chart-wait-p95' },
    ],
    levels: [{ limit: 'waitTargetMs', label: 'target' }],
  },
  {
    name: 'replicas', label: 'Replicas', unit: 'count', height: 132, hint: 'What was wanted, against what there was',
    stacked: [
      { track: 'ready', label: 'ready', shape: 'area', colour: 'chart-ready' },
      { track: 'starting', label: 'starting', shape: 'area', colour: 'chart-starting' },
      { track: 'draining', label: 'draining', shape: 'area', colour: 'chart-draining' },
    ],
    curves: [{ track: 'desired', label: 'desired', shape: 'step', colour: 'chart-desired' }],
    levels: [{ limit: 'min', label: 'min' }, { limit: 'max', label: 'max' }],
  },
];

// The ribbon: what replicas were there for.
export const kRibbon: Curve[] = [
  { track: 'busy', label: 'busy', shape: 'area', colour: 'chart-ready' },
  { track: 'idle', label: 'idle', shape: 'area', colour: 'chart-idle' },
  { track: 'starting', label: 'starting', shape: 'area', colour: 'chart-starting' },
  { track: 'draining', label: 'draining', shape: 'area', colour: 'chart-draining' },
];

export const kKindWords = {
  activate: 'activated',
  up: 'scaled up',
  down: 'scaled down',
  zero: 'to zero',
  steady: 'stayed',
  blocked: 'held back',
  paused: 'paused',
  error: 'trigger failed',
  manual: 'set by hand',
} as const;
