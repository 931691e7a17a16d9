// SPDX-License-Identifier: Apache-2.0
// Numbers and instants as the timeline writes them: short, and never more exact than they are.
import { clock, duration } from '../lib/format';
import { zone } from '../lib/prefs';
import type { Row } from './tracks';

const kUnknown = '–';

export function number(value: number): string {
  if (Number.isNaN(value)) return kUnknown;
  const digits = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return new Intl.NumberFormat('en', { maximumFractionDigits: digits }).format(value);
}

export function rate(value: number): string {
  return Number.isNaN(value) ? kUnknown : `${number(value)}/s`;
}

export function unitText(unit: Row['unit'], value: number): string {
  if (unit === 'rate') return rate(value);
  return unit === 'duration' ? duration(value) : number(value);
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = JSON.stringify(options) + zone();
  let found = formats.get(key);
  if (!found) formats.set(key, (found = new Intl.DateTimeFormat('en-GB', { ...options, timeZone: zone() })));
  return found;
}

export function dateAndClock(t: number): string {
  return format({ day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit' }).format(t);
}

// The server's sentences have times of day, in UTC: "since 14:35:09". Here they are in the zone of
// the page; they are of the same day as what the sentence is about, or within half a day of it.
const kTimeOfDay = /\b(at|since|until) (\d{2}):(\d{2}):(\d{2})\b/g;
const kDayMs = 86_400_000;

export function here(sentence: string, about: string): string {
  const near = Date.parse(about);
  if (Number.isNaN(near)) return sentence;
  return sentence.replace(kTimeOfDay, (_, word: string, ...parts: string[]) => {
    const [hours, minutes, seconds] = parts.slice(0, 3).map(Number);
    const inDay = (((hours ?? 0) * 60 + (minutes ?? 0)) * 60 + (seconds ?? 0)) * 1000;
    const day = Math.round((near - inDay) / kDayMs) * kDayMs;
    return `${word} ${clock(day + inDay)}`;
  });
}

export function zoneOffset(t: number): string {
  const part = format({ timeZoneName: 'shortOffset' }).formatToParts(t).find(({ type }) => type === 'timeZoneName');
  return (part?.value ?? 'GMT').replace('GMT', 'UTC');
}

export function offsetMs(t: number): number {
  const [, sign, hours, minutes] = /^UTC([+-])(\d+)(?::(\d+))?$/.exec(zoneOffset(t)) ?? [];
  if (!sign) return 0;
  return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes ?? 0)) * 60_000;
}

// What an axis says at an instant when its labels are `every` ms apart.
export function axisLabel(t: number, every: number): string {
  if (every >= 86_400_000) return format({ day: 'numeric', month: 'short' }).format(t);
  const midnight = (t + offsetMs(t)) % 86_400_000 === 0;
  if (midnight) return format({ day: 'numeric', month: 'short' }).format(t);
  if (every < 60_000) return clock(t);
  return format({ hour: '2-digit', minute: '2-digit' }).format(t);
}
