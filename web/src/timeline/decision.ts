// SPDX-License-Identifier: Apache-2.0
// A decision as the server keeps it, and how it came about in sentences. Nothing is decided here:
// the numbers are the server's, this only puts them into their formulas.
import { duration } from '../lib/format';
import { dateAndClock, number } from './format';
import type { DecisionKind } from './series';

export interface TriggerReading {
  name: string;
  type: string;
  metric?: string;
  metricType?: 'Value' | 'AverageValue';
  value: number | null;
  perReplica: number | null;
  target: number;
  ratio: number | null;
  proposal: number | null;
  ageMs: number;
  active?: boolean;
  error?: string;
}

interface Rules {
  windowMs: number;
  select: string;
  tolerance: number | null;
  policies: { type: string; value: number; periodMs: number }[];
}

export interface DecisionRecord {
  id: string;
  at: string;
  target: string;
  kind: DecisionKind;
  from: number;
  to: number;
  triggers?: TriggerReading[];
  tolerance?: number | null;
  window?: { upMs: number; downMs: number; recommendations?: { replicas: number; until: string }[] };
  policies?: { up: Rules | null; down: Rules | null };
  caps?: { min: number; max: number };
  inFlightGuard?: { busy: number; draining: number };
  limitingRule: string;
  sentence: string;
  counterfactual?: { rule: string; replicas: number } | null;
  inputsHash?: string;
  ready?: number;
  semantics?: string;
  generation?: number;
  nextCheck?: string | null;
  repeated?: number;
  until?: string;
  inputs?: { activate?: { cooldownMs?: number; lastActive?: string | null; initialCooldownMs?: number } };
}

export function formulaOf(reading: TriggerReading, ready: number): string {
  if (reading.error) return `no vote: ${reading.error}`;
  if (typeof reading.value !== 'number') return 'no vote: never read';
  const wish = typeof reading.proposal !== 'number' ? '' : ` → ${reading.proposal}`;
  if (reading.metricType === 'AverageValue') {
    const exact = reading.value / reading.target;
    return `${number(reading.value)} ÷ ${number(reading.target)} per replica = ${number(exact)}${wish}`;
  }
  if (typeof reading.ratio !== 'number') return `${number(reading.value)} ÷ ${number(reading.target)}`;
  return `${number(reading.value)} ÷ ${number(reading.target)} = ${number(reading.ratio)}, × ${ready} ready = ${number(reading.ratio * ready)}${wish}`;
}

// The trigger whose wish won.
export function winner(record: DecisionRecord): TriggerReading | undefined {
  let best: TriggerReading | undefined;
  for (const reading of record.triggers ?? [])
    if (typeof reading.proposal === 'number' && (best === undefined || reading.proposal > (best.proposal ?? 0))) best = reading;
  return best;
}

export interface Step {
  rules: string[]; // of which one may be the limiting one
  name: string;
  text: string;
}

function policyText(rules: Rules | null | undefined): string {
  if (!rules) return 'no limit';
  if (rules.select === 'Disabled') return 'not allowed';
  const list = rules.policies.map(({ type, value, periodMs }) => `${value} ${type === 'Percent' ? '%' : 'replicas'} in ${duration(periodMs)}`);
  return list.length === 0 ? 'no limit' : `${list.join(rules.select === 'Min' ? ' and ' : ' or ')}`;
}

function windowText({ window }: DecisionRecord): string {
  if (!window) return 'none';
  const part = (ms: number) => (ms > 0 ? duration(ms) : 'none');
  const highest = (window.recommendations ?? []).reduce((top, { replicas }) => Math.max(top, replicas), -1);
  const held = highest >= 0 ? `; highest proposal in it ${highest}` : '';
  return `up ${part(window.upMs)}, down ${part(window.downMs)}${held}`;
}

function cooldownText({ inputs }: DecisionRecord): string {
  const activate = inputs?.activate;
  if (!activate?.cooldownMs) return 'none';
  if (!activate.lastActive) return `${duration(activate.cooldownMs)} after the last activity`;
  const end = Date.parse(activate.lastActive) + activate.cooldownMs;
  return `${duration(activate.cooldownMs)} after the last activity, until ${dateAndClock(end)}`;
}

function wishText(record: DecisionRecord): string {
  const best = winner(record);
  if (best) return `${best.proposal}, the highest: ${best.name || best.type}`;
  return record.triggers?.some(({ error }) => error) ? 'none: no trigger could be read' : 'none';
}

// The way from the wish to the number, in the order in which the rules are asked.
export function stepsOf(record: DecisionRecord): Step[] {
  const steps: (Step | false)[] = [
    { rules: ['not-active', 'trigger-failed', 'fallback'], name: 'Wish', text: wishText(record) },
    record.tolerance !== undefined && { rules: ['tolerance'], name: 'Tolerance', text: record.tolerance === null ? 'none' : `± ${number(record.tolerance * 100)} % of the target change nothing` },
    record.window !== undefined && { rules: ['scale-up-window', 'scale-down-window'], name: 'Stabilisation window', text: windowText(record) },
    record.policies !== undefined && { rules: ['scale-up-policy', 'scale-down-policy', 'step-limit'], name: 'Policies', text: `up: ${policyText(record.policies.up)}; down: ${policyText(record.policies.down)}` },
    record.caps !== undefined && { rules: ['min', 'max'], name: 'Caps', text: `${record.caps.min} to ${record.caps.max}` },
    { rules: ['cooldown', 'initial-cooldown'], name: 'Cooldown', text: cooldownText(record) },
    { rules: ['paused', 'paused-scale-in', 'paused-scale-out'], name: 'Pause', text: record.limitingRule.startsWith('paused') ? 'yes' : 'no' },
    record.inFlightGuard !== undefined && { rules: ['in-flight'], name: 'In-flight guard', text: `${record.inFlightGuard.busy} busy, ${record.inFlightGuard.draining} draining; work is never interrupted to scale in` },
  ];
  return steps.filter((step): step is Step => step !== false);
}

export function ruleWords(rule: string): string {
  return rule.replaceAll('-', ' ');
}
