// SPDX-License-Identifier: Apache-2.0
// Numbers, durations and instants as people read them, and exactly as machines do.
import { prefs, zone } from './prefs';

const kNumber = new Intl.NumberFormat('en');
const kShort = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

// What the server does not know is undefined or null.
type Known = number | null | undefined;

export function count(n: Known): string {
  return n === undefined || n === null ? '–' : kNumber.format(n);
}

export function shortCount(n: Known): string {
  return n === undefined || n === null ? '–' : n < 10_000 ? kNumber.format(n) : kShort.format(n);
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

export function percent(ratio: Known, digits = 0): string {
  return ratio === undefined || ratio === null ? '–' : `${(ratio * 100).toFixed(digits)} %`;
}

export function bytes(n: Known): string {
  if (n === undefined || n === null) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let value = n;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

const kUnits: [string, number][] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
];

// "3m 12s": the two largest units that are not zero.
export function duration(ms: Known): string {
  if (ms === undefined || ms === null || Number.isNaN(ms)) return '–';
  const whole = Math.abs(ms);
  const sign = ms < 0 ? '−' : '';
  if (whole < 1) return `${sign}${whole === 0 ? 0 : whole.toPrecision(2)} ms`;
  if (whole < 1_000) return `${sign}${Math.round(whole)} ms`;
  if (whole < 10_000) return `${sign}${(whole / 1_000).toFixed(1)} s`;
  const first = kUnits.findIndex(([, size]) => whole >= size);
  const [name, size] = kUnits[first] as [string, number];
  const next = kUnits[first + 1];
  const major = Math.floor(whole / size);
  const minor = next ? Math.floor((whole % size) / next[1]) : 0;
  return sign + (next && minor > 0 ? `${major}${name} ${minor}${next[0]}` : `${major}${name}`);
}

// For a title and for copying.
export function exactDuration(ms: number): string {
  return `${kNumber.format(ms)} ms`;
}

// "3 min ago", "in 2 h".
export function ago(at: number, now: number): string {
  const delta = at - now;
  const size = Math.abs(delta);
  if (size < 5_000) return delta <= 0 ? 'just now' : 'in a moment';
  const text =
    size < 60_000
      ? `${Math.round(size / 1_000)} s`
      : size < 3_600_000
        ? `${Math.round(size / 60_000)} min`
        : size < 86_400_000
          ? `${Math.round(size / 3_600_000)} h`
          : `${Math.round(size / 86_400_000)} d`;
  return delta < 0 ? `${text} ago` : `in ${text}`;
}

const kFormats = new Map<string, Intl.DateTimeFormat>();

function formatter(locale: string | undefined, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${locale ?? ''}${JSON.stringify(options)}`;
  let found = kFormats.get(key);
  if (!found) kFormats.set(key, (found = new Intl.DateTimeFormat(locale, options)));
  return found;
}

// Wall time with its offset: a bare wall time says nothing near a change of clocks.
export function wallTime(at: number, timeZone = zone()): string {
  return formatter('en-GB', {
    timeZone,
    year: 'numeric',
    month: 'short',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    timeZoneName: 'shortOffset',
  }).format(at);
}

export function clock(at: number, timeZone = zone()): string {
  return formatter('en-GB', {
    timeZone,
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  }).format(at);
}

export function instant(at: number, now: number): string {
  const style = prefs.value.dates;
  if (style === 'iso') return new Date(at).toISOString();
  if (style === 'ago') return ago(at, now);
  if (style === 'locale') return wallTime(at);
  return formatter(undefined, {
    timeZone: zone(),
    dateStyle: 'medium',
    timeStyle: 'medium',
  }).format(at);
}

// What stands in a title: always exact, in UTC and in the chosen zone.
export function exactInstant(at: number): string {
  return `${new Date(at).toISOString()} · ${wallTime(at)}`;
}

export function ms(text: string | undefined): number | undefined {
  if (!text) return undefined;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : at;
}

export function shortId(id: string): string {
  return id.length > 13 ? id.slice(-8) : id;
}

// Words of the server at the beginning of a line.
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
