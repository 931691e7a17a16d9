// SPDX-License-Identifier: Apache-2.0
// Queues and messages as the server tells of them, and where they are in the dashboard.

export interface Entity {
  name: string;
  namespace: string;
  kind: string;
  status: string;
  sessions: boolean;
  active: number;
  locked: number;
  scheduled: number;
  deferred: number;
  deadLetter: number;
  transfer: number;
  transferDeadLetter: number;
  sizeBytes: number;
  maxSizeBytes: number;
  maxDeliveryCount: number;
  lockDuration: string;
  defaultTimeToLive?: string;
  forwardTo?: string;
  forwardDeadLetteredMessagesTo?: string;
  createdAt: string;
  accessedAt?: string;
}

export interface Namespace {
  namespace: string;
  entities: Entity[];
}

export interface Message {
  sequenceNumber: number;
  state: string;
  messageId?: string;
  deliveryCount: number;
  enqueuedTime: string;
  sessionId?: string;
  partitionKey?: string;
  expiresAt?: string;
  scheduledEnqueueTime?: string;
  deadLetterSource?: string;
  deadLetterReason?: string;
  deadLetterErrorDescription?: string;
  subject?: string;
  contentType?: string;
  correlationId?: string;
  to?: string;
  replyTo?: string;
  lockedUntil?: string;
  lockedBy?: string;
  applicationProperties?: Record<string, unknown>;
  size: number;
  body?: string;
  bodyBase64?: string;
}

export interface MessagePage {
  items: Message[];
  next?: number;
}

export interface Preview {
  matching: number;
  lowerBound: boolean;
  groups: { reason: string; description: string; count: number }[];
  sample: Message[];
}

export interface Place {
  namespace: string;
  entity: string;
}

export function entityPath({ namespace, entity }: Place): string {
  return `/messages/${encodeURIComponent(namespace)}/${encodeURIComponent(entity)}`;
}

export function entityApi(place: Place): string {
  return `/api${entityPath(place)}`;
}

export function deadLetterPath(place: Place): string {
  return `${entityPath(place)}/dead-letter`;
}

export function messagePath(place: Place, sequence: number, dead: boolean): string {
  return `${entityPath(place)}/${sequence}${dead ? '?sub=deadletter' : ''}`;
}

export function bodyBytes(message: Message): Uint8Array {
  if (message.bodyBase64 === undefined) return new TextEncoder().encode(message.body ?? '');
  return Uint8Array.from(atob(message.bodyBase64), (c) => c.charCodeAt(0));
}

// Offsets, bytes and characters, sixteen to a line.
export function hex(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const codes = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ').padEnd(47);
    const text = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
    lines.push(`${at.toString(16).padStart(8, '0')}  ${codes}  ${text}`);
  }
  return lines.join('\n');
}

export function parsed(text: string | undefined): { value: unknown } | undefined {
  try {
    return text === undefined || text === '' ? undefined : { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}

// --- filters ----------------------------------------------------------------------------------

export const kFilterNames = ['reason', 'description', 'property', 'value', 'text', 'session', 'after', 'before'] as const;
export type FilterName = (typeof kFilterNames)[number];
export type Filter = Partial<Record<FilterName, string>>;

export function filterOf(query: URLSearchParams): Filter {
  const filter: Filter = {};
  for (const name of kFilterNames) {
    const value = query.get(name);
    if (value) filter[name] = value;
  }
  return filter;
}

export interface FilterDocument {
  reason?: string;
  description?: string;
  property?: { name: string; value?: string };
  text?: string;
  session?: string;
  after?: string;
  before?: string;
  sequenceNumbers?: number[];
}

function instant(local: string | undefined): string | undefined {
  const at = Date.parse(local ?? '');
  return Number.isNaN(at) ? undefined : new Date(at).toISOString();
}

export function filterDocument(filter: Filter, sequenceNumbers: number[] = []): FilterDocument {
  const document: FilterDocument = {};
  for (const name of ['reason', 'description', 'text', 'session'] as const) if (filter[name]) document[name] = filter[name];
  if (filter.property) document.property = filter.value ? { name: filter.property, value: filter.value } : { name: filter.property };
  const after = instant(filter.after);
  const before = instant(filter.before);
  if (after) document.after = after;
  if (before) document.before = before;
  if (sequenceNumbers.length > 0) document.sequenceNumbers = sequenceNumbers;
  return document;
}

// "NAME=VALUE" lines; numbers, true and false keep their type.
export function propertiesOf(text: string): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const line of text.split('\n')) {
    const cut = line.indexOf('=');
    if (cut <= 0) continue;
    const value = line.slice(cut + 1);
    const typed = /^(true|false|-?\d+(\.\d+)?)$/.test(value) ? (JSON.parse(value) as unknown) : value;
    out[line.slice(0, cut).trim()] = typed;
  }
  return out;
}

export function propertyLines(properties: Record<string, unknown> = {}): string {
  return Object.entries(properties).map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`).join('\n');
}
