// SPDX-License-Identifier: Apache-2.0
// The piece of time that a page shows. It is in the URL: `range=1h` follows now, `from=…&to=…` stands.

export interface Range {
  from: number;
  to: number;
  now: number;
  follows: string | null; // the name of the preset, when it follows now
}

const kMinute = 60_000;
const kHour = 60 * kMinute;
const kDay = 24 * kHour;

export const kPresets: { name: string; label: string; span: number }[] = [
  { name: '5m', label: '5 min', span: 5 * kMinute },
  { name: '15m', label: '15 min', span: 15 * kMinute },
  { name: '1h', label: '1 h', span: kHour },
  { name: '6h', label: '6 h', span: 6 * kHour },
  { name: '24h', label: '24 h', span: kDay },
  { name: '7d', label: '7 d', span: 7 * kDay },
  { name: '30d', label: '30 d', span: 30 * kDay },
  { name: '400d', label: '400 d', span: 400 * kDay },
];

const kDefault = '1h';
const kShortest = kMinute;
const kLongest = 400 * kDay;
const kAhead = 0.08; // of the span, right of now: what is scheduled soon

export function rangeOf(query: URLSearchParams, now: number): Range {
  const from = Date.parse(query.get('from') ?? '');
  const to = Date.parse(query.get('to') ?? '');
  if (from < to) return { from, to, now, follows: null };
  const wanted = query.get('range') || kDefault;
  const preset = kPresets.find(({ name }) => name === wanted) ?? kPresets[2]!;
  return { from: now - preset.span, to: now + preset.span * kAhead, now, follows: preset.name };
}

export type RangeQuery = { range: string | null; from: string | null; to: string | null };

export function presetQuery(name: string): RangeQuery {
  return { range: name === kDefault ? null : name, from: null, to: null };
}

export function windowQuery(from: number, to: number): RangeQuery {
  return { range: null, from: new Date(from).toISOString(), to: new Date(to).toISOString() };
}

// Keeps `around` where it is on the screen.
export function zoomed({ from, to }: Range, factor: number, around: number): RangeQuery {
  const span = Math.min(kLongest, Math.max(kShortest, (to - from) * factor));
  const share = (around - from) / (to - from);
  const start = around - share * span;
  return windowQuery(start, start + span);
}

export function panned({ from, to }: Range, share: number): RangeQuery {
  const by = (to - from) * share;
  return windowQuery(from + by, to + by);
}

// Instants for the axis: few enough to be read, at places where a clock shows round numbers.
const kTicks = [
  1_000, 5_000, 10_000, 30_000, kMinute, 2 * kMinute, 5 * kMinute, 10 * kMinute, 15 * kMinute, 30 * kMinute, kHour, 2 * kHour, 3 * kHour,
  6 * kHour, 12 * kHour, kDay, 2 * kDay, 7 * kDay, 14 * kDay, 30 * kDay, 90 * kDay,
];

export function timeTicks(from: number, to: number, most: number, offsetMs: (t: number) => number): { at: number[]; every: number } {
  const every = kTicks.find((step) => (to - from) / step <= most) ?? 90 * kDay;
  const shift = offsetMs(from);
  const at: number[] = [];
  for (let t = Math.ceil((from + shift) / every) * every - shift; t <= to; t += every) at.push(t);
  return { at, every };
}

export function niceMax(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 1.5, 2, 3, 4, 5, 8, 10].find((factor) => factor * power >= value) ?? 10;
  return step * power;
}
