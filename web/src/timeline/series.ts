// SPDX-License-Identifier: Apache-2.0
// What a target's history looks like on the wire, and as the charts want it: columns of numbers
// sorted by time. Each holds until the next one; NaN is "unknown from here on", which is never 0.

export type Instant = number | string; // ms since the epoch, or ISO 8601

export interface SeriesDocument {
  from: string;
  to: string;
  step?: number;
  stepMs?: number;
  tracks: Record<string, (number | string | null)[][]>;
  gaps?: [Instant, Instant, string][];
  decisions?: Marker[];
  limits?: Limits;
  plan?: { at: string; what: string }[];
}

export interface Limits {
  min?: number;
  max?: number;
  inflight?: number;
  waitTargetMs?: number;
}

export type DecisionKind = 'activate' | 'up' | 'down' | 'zero' | 'steady' | 'blocked' | 'paused' | 'error' | 'manual';

export interface Marker {
  id: string;
  at: string;
  kind: DecisionKind;
  from: number;
  to: number;
  summary: string;
  count?: number;
}

export interface Column {
  t: number[];
  last: number[]; // NaN: unknown
  min: number[];
  max: number[];
}

export interface Gap {
  from: number;
  to: number;
  reason: string;
}

export interface Timed<T> {
  t: number;
  value: T;
}

export interface Series {
  from: number;
  to: number;
  stepMs: number;
  columns: Record<string, Column>;
  gaps: Gap[];
  markers: Timed<Marker>[];
  limits: Limits;
  plan: Timed<string>[];
}

export function ms(instant: Instant): number {
  return typeof instant === 'number' ? instant : Date.parse(instant);
}

const kNothing: Column = { t: [], last: [], min: [], max: [] };

function value(cell: number | string | null | undefined): number {
  return typeof cell === 'number' ? cell : Number.NaN;
}

function column(points: (number | string | null)[][]): Column {
  const out: Column = { t: [], last: [], min: [], max: [] };
  for (const [at, last, min, max] of points) {
    if (at === undefined || at === null) continue;
    out.t.push(ms(at));
    out.last.push(value(last));
    out.min.push(value(min === undefined ? last : min));
    out.max.push(value(max === undefined ? last : max));
  }
  return out;
}

export function seriesOf(document: SeriesDocument): Series {
  const columns: Record<string, Column> = {};
  for (const [name, points] of Object.entries(document.tracks)) columns[name] = column(points);
  const from = ms(document.from);
  const to = ms(document.to);
  const stepMs = document.stepMs ?? (document.step ? stepInMs(document.step) : guessStep(columns));
  return {
    from,
    to,
    stepMs,
    columns,
    gaps: (document.gaps ?? []).map(([a, b, reason]) => ({ from: ms(a), to: ms(b), reason })),
    markers: (document.decisions ?? [])
      .map((marker) => ({ t: ms(marker.at), value: marker }))
      .sort((a, b) => a.t - b.t),
    limits: document.limits ?? {},
    plan: (document.plan ?? []).map(({ at, what }) => ({ t: ms(at), value: what })),
  };
}

// A step is a duration in seconds unless it is too large to be one.
function stepInMs(step: number): number {
  return step < 10_000 ? step * 1000 : step;
}

function guessStep(columns: Record<string, Column>): number {
  for (const { t } of Object.values(columns))
    if (t.length > 1) return (t[1] ?? 0) - (t[0] ?? 0) || 10_000;
  return 10_000;
}

export function columnOf(series: Series, name: string): Column {
  return series.columns[name] ?? kNothing;
}

// Index of the last time that is not after `t`; -1 if there is none.
export function indexAt(times: readonly number[], t: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] ?? 0) <= t) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

// Known only where there is a point: nobody has waited since.
export const kMeasured: ReadonlySet<string> = new Set(['p95WaitMs']);

// Until when the last number of a column is known to hold: until now, as far as now was told.
const kToldLate = 15_000;
export function knownUntil(series: Series, now: number): number {
  return Math.min(now, series.to + kToldLate);
}

export function valueAt(series: Series, name: string, t: number): number {
  if (t > series.to + kToldLate) return Number.NaN;
  const { t: times, last } = columnOf(series, name);
  const index = indexAt(times, t);
  if (kMeasured.has(name) && t - (times[index] ?? 0) > series.stepMs) return Number.NaN;
  return last[index] ?? Number.NaN;
}

export function latestOf(series: Series, name: string): number {
  return valueAt(series, name, series.to);
}

export function inGap(series: Series, t: number): Gap | undefined {
  return series.gaps.find((gap) => gap.from <= t && t < gap.to);
}

// The decision whose number held at `t`.
export function markerBefore(series: Series, t: number): Timed<Marker> | undefined {
  const index = indexAt(series.markers.map((marker) => marker.t), t);
  return series.markers[index];
}

// Markers that would overlap become one with a count; none is dropped. The last change gives the shape
// and the number; among those that changed nothing the loudest is seen, and an error always.
export interface MarkerGroup {
  t: number;
  kind: DecisionKind;
  to: number;
  count: number;
  members: Marker[];
}

const kQuiet: DecisionKind[] = ['steady', 'blocked', 'paused'];

export function groupMarkers(series: Series, closerThanMs: number): MarkerGroup[] {
  const groups: MarkerGroup[] = [];
  for (const { t, value: marker } of series.markers) {
    const last = groups[groups.length - 1];
    if (last && t - last.t < closerThanMs) join(last, marker);
    else groups.push({ t, kind: marker.kind, to: marker.to, count: marker.count ?? 1, members: [marker] });
  }
  return groups;
}

function quieter(kind: DecisionKind, than: DecisionKind): boolean {
  const loudness = kQuiet.indexOf(kind);
  return loudness >= 0 && (!kQuiet.includes(than) || loudness < kQuiet.indexOf(than));
}

function join(group: MarkerGroup, marker: Marker): void {
  group.members.push(marker);
  group.count += marker.count ?? 1;
  group.to = marker.to;
  if (marker.kind === 'error' || (group.kind !== 'error' && !quieter(marker.kind, group.kind))) group.kind = marker.kind;
}
