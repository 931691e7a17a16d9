// SPDX-License-Identifier: Apache-2.0
// Live updates: one event stream per tab carries every topic that the page shows. A topic begins
// with its full value, then come merge patches. The stream is resumed where it broke off; after
// three failures the page polls instead and says so. Everything works without it.
import { signal } from '@preact/signals';
import { url } from './api';

export type LiveState = 'connecting' | 'live' | 'polling';

export const liveState = signal<LiveState>('connecting');
// Counts up when those who have no stream should read again.
export const pollTick = signal(0);

const kPollMs = 10_000;
const kHiddenMs = 10_000;
const kFailuresBeforePolling = 3;
const kSilenceMs = 40_000; // the server's heart beats each 15 s

type Listener = (value: unknown) => void;

interface Topic {
  listeners: Set<Listener>;
  value: unknown;
  known: boolean;
  waiting: boolean; // changed while the tab was hidden
}

const topics = new Map<string, Topic>();
let lastEventId = '';
let connected = '';
let failures = 0;
let abort: AbortController | undefined;
let retryTimer: number | undefined;
let changeTimer: number | undefined;

// RFC 7396.
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch;
  const isObject = target !== null && typeof target === 'object' && !Array.isArray(target);
  const result: Record<string, unknown> = isObject ? { ...(target as object) } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = mergePatch(result[name], value);
  }
  return result;
}

function tell(topic: Topic): void {
  topic.waiting = document.hidden;
  if (!topic.waiting) topic.listeners.forEach((listener) => listener(topic.value));
}

function flush(): void {
  for (const topic of topics.values()) {
    if (!topic.waiting) continue;
    topic.waiting = false;
    topic.listeners.forEach((listener) => listener(topic.value));
  }
}

interface Update {
  full?: unknown;
  patch?: unknown;
}

function apply(name: string, data: string): void {
  const topic = topics.get(name);
  if (!topic) return;
  const update = JSON.parse(data) as Update;
  if ('full' in update) {
    topic.value = update.full;
    topic.known = true;
  } else if (topic.known) {
    topic.value = mergePatch(topic.value, update.patch);
  } else {
    return;
  }
  tell(topic);
}

function handle(block: string): void {
  let event = '';
  const data: string[] = [];
  for (const line of block.split('\n')) {
    if (line.startsWith('event:')) event = line.slice(6).trim();
    else if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''));
    else if (line.startsWith('id:')) lastEventId = line.slice(3).trim();
  }
  if (event && data.length > 0) apply(event, data.join('\n'));
}

async function read(body: ReadableStream<Uint8Array>, stream: AbortController): Promise<void> {
  const reader = body.pipeThrough(new TextDecoderStream() as never).getReader() as ReadableStreamDefaultReader<string>;
  let text = '';
  let heard = Date.now();
  const watch = window.setInterval(() => {
    if (Date.now() - heard > kSilenceMs) stream.abort();
  }, 5_000);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard = Date.now();
      text += value.replaceAll('\r', '');
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      blocks.forEach(handle);
    }
  } finally {
    window.clearInterval(watch);
  }
}

function jitterMs(): number {
  return 1_000 + Math.random() * Math.min(9_000, 1_500 * 2 ** failures);
}

function failed(): void {
  failures += 1;
  pollTick.value += 1; // so that the page knows whether only the stream is gone, or the server
  if (failures >= kFailuresBeforePolling) liveState.value = 'polling';
  else liveState.value = 'connecting';
  retryTimer = window.setTimeout(() => void connect(), jitterMs());
}

async function connect(): Promise<void> {
  window.clearTimeout(retryTimer);
  abort?.abort();
  const wanted = [...topics.keys()].sort().join(',');
  if (wanted === '') {
    connected = '';
    return;
  }
  const stream = new AbortController();
  abort = stream;
  const headers: Record<string, string> = { Accept: 'text/event-stream' };
  if (wanted === connected && lastEventId) headers['Last-Event-ID'] = lastEventId;
  else topics.forEach((topic) => (topic.known = false));
  connected = wanted;
  try {
    const response = await fetch(url(`/sse/events?topics=${encodeURIComponent(wanted)}`), {
      headers,
      credentials: 'same-origin',
      signal: stream.signal,
      cache: 'no-store',
    });
    const type = response.headers.get('content-type') ?? '';
    if (!response.ok || !response.body || !type.startsWith('text/event-stream'))
      throw new Error(`stream: ${response.status}`);
    if (failures > 0) pollTick.value += 1; // what happened while there was no stream
    failures = 0;
    liveState.value = 'live';
    await read(response.body, stream);
  } catch {
    // falls through: a stream that ends is opened again, whatever ended it
  }
  if (abort === stream) failed();
}

function topicsChanged(): void {
  window.clearTimeout(changeTimer);
  changeTimer = window.setTimeout(() => {
    if ([...topics.keys()].sort().join(',') !== connected) void connect();
  }, 30);
}

// Calls `listener` with the topic's value now and at each change; the answer ends it.
export function subscribe(name: string, listener: Listener): () => void {
  let topic = topics.get(name);
  if (!topic) {
    topic = { listeners: new Set(), value: undefined, known: false, waiting: false };
    topics.set(name, topic);
    topicsChanged();
  } else if (topic.known) {
    listener(topic.value);
  }
  topic.listeners.add(listener);
  return () => {
    topic.listeners.delete(listener);
    if (topic.listeners.size > 0) return;
    topics.delete(name);
    topicsChanged();
  };
}

window.setInterval(() => {
  if (liveState.peek() !== 'live' && !document.hidden) pollTick.value += 1;
}, kPollMs);
window.setInterval(() => {
  if (document.hidden) flush();
}, kHiddenMs);
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) flush();
});
