// SPDX-License-Identifier: Apache-2.0
// The timeline in words and as a table: for those who cannot see it, and for spreadsheets.
import type { Marker, Series } from './series';
import { columnOf, valueAt } from './series';
import { kKindWords, kRows } from './tracks';
import { duration } from '../lib/format';
import { dateAndClock, number, unitText } from './format';

interface Peak {
  value: number;
  at: number;
}

function peak(series: Series, track: string): Peak | undefined {
  const { t, max } = columnOf(series, track);
  let best: Peak | undefined;
  for (const [i, value] of max.entries())
    if (!Number.isNaN(value) && (!best || value > best.value)) best = { value, at: t[i] ?? 0 };
  return best;
}

function peakText(series: Series, track: string, what: string, text: (value: number) => string): string | undefined {
  const found = peak(series, track);
  if (!found) return undefined;
  if (found.value === 0) return `${what} was never above ${text(0)}`;
  return `${what} was at most ${text(found.value)}, at ${dateAndClock(found.at)}`;
}

function decisionsText({ markers }: Series): string {
  const changes = markers.filter(({ value }) => value.from !== value.to);
  if (changes.length === 0) return 'The number of replicas did not change';
  const last = changes[changes.length - 1]!;
  const times = changes.length === 1 ? 'once' : `${changes.length} times`;
  return `The number of replicas changed ${times}, last from ${last.value.from} to ${last.value.to} at ${dateAndClock(last.t)}`;
}

export function summary(series: Series): string {
  const sentences = [
    series.columns['desired'] && decisionsText(series),
    peakText(series, 'desired', 'The wanted number', number),
    peakText(series, 'backlog', 'The backlog', number),
    peakText(series, 'oldestWaitMs', 'The oldest wait', duration),
    series.gaps.length > 0 ? gapsText(series) : undefined,
  ];
  return `${sentences.filter(Boolean).join('. ')}.`;
}

function gapsText({ gaps }: Series): string {
  const reasons = [...new Set(gaps.map(({ reason }) => reason))].slice(0, 3).join('; ');
  return `For ${duration(gaps.reduce((sum, gap) => sum + gap.to - gap.from, 0))} nothing is known: ${reasons}`;
}

export function wordsAt(series: Series, t: number): string {
  const parts = kRows.flatMap((row) =>
    [...row.curves, ...row.stacked].map(({ track, label }) => {
      const value = valueAt(series, track, t);
      return Number.isNaN(value) ? '' : `${row.label} ${label} ${unitText(row.unit, value)}`;
    }),
  );
  const known = parts.filter(Boolean);
  return `${dateAndClock(t)}: ${known.length > 0 ? known.join(', ') : 'nothing is known'}`;
}

export interface Table {
  head: string[];
  rows: { t: number; cells: number[]; decisions: string }[];
}

const kTracks = kRows.flatMap((row) => [...row.curves, ...row.stacked].map((curve) => ({ ...curve, row })));

// `words` says why a decision was made; a file has what the server wrote, with its times in UTC.
export function tableOf(series: Series, words: (marker: Marker) => string = ({ summary }) => summary): Table {
  const tracks = kTracks.filter(({ track }) => columnOf(series, track).t.length > 0);
  const times = [...new Set(tracks.flatMap(({ track }) => columnOf(series, track).t))].sort((a, b) => a - b);
  const rows = times.map((t, i) => ({
    t,
    cells: tracks.map(({ track }) => valueAt(series, track, t)),
    decisions: decisionsBetween(series, t, times[i + 1] ?? t + series.stepMs, words),
  }));
  return { head: tracks.map(({ row, label }) => `${row.label}: ${label}`), rows };
}

export function cellText(table: Table, index: number, value: number): string {
  const head = table.head[index] ?? '';
  const row = kRows.find(({ label }) => head.startsWith(`${label}:`));
  return unitText(row?.unit ?? 'count', value);
}

function decisionsBetween(series: Series, from: number, to: number, words: (marker: Marker) => string): string {
  return series.markers
    .filter(({ t }) => from <= t && t < to)
    .map(({ value }) => `${kKindWords[value.kind]} ${value.from} → ${value.to}: ${words(value)}`)
    .join(' | ');
}

// Cells that a spreadsheet would take for formulas are text.
function csvCell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function csvOf(series: Series): string {
  const table = tableOf(series);
  const head = ['time', ...table.head, 'decisions'];
  const lines = table.rows.map(({ t, cells, decisions }) => [
    new Date(t).toISOString(),
    ...cells.map((value) => (Number.isNaN(value) ? '' : String(value))),
    csvCell(decisions),
  ]);
  return [head.map(csvCell), ...lines].map((line) => line.join(',')).join('\r\n') + '\r\n';
}
