// SPDX-License-Identifier: Apache-2.0
// Executions as the server tells of them.
import type { IconName, Tone } from '../../ui';

export interface Execution {
  id: string;
  name: string;
  group: string;
  job: string;
  status: string;
  reason?: string;
  createdAt: string;
  startedAt?: string;
  endedAt?: string;
  durationMs?: number;
  trigger?: string;
  triggerType?: string;
  decision?: string;
  retries: number;
  exitCode?: number;
  signal?: number;
  message?: { entity: string; sequence: number; messageId?: string };
}

export interface Replica {
  name: string;
  attempt: number;
  state: string;
  reason?: string;
  startedAt?: string;
  endedAt?: string;
  exitCode?: number;
  signal?: number;
  oom?: boolean;
  peakRss?: number;
  detail?: string;
}

export interface Variable {
  name: string;
  value?: string;
  secret?: boolean;
}

export interface ExecutionDetail extends Execution {
  semantics?: string;
  stopping?: boolean;
  replicaList: Replica[];
  messages: { replica: string; entity: string; sequence: number; messageId?: string; deliveryCount: number; taken: string; outcome?: string; endedAt?: string }[];
  containers: { name: string; image: string; command: string[]; args: string[]; cpuMilli?: number; memoryBytes?: number; env: Variable[] }[];
  timeline: { at: string; what: string }[];
}

export interface ExecutionPage {
  items: Execution[];
  next?: string;
}

export interface LogLines {
  lines: { at: string; stream: 'stdout' | 'stderr'; text: string }[];
  next: number;
  ended: boolean;
}

export interface ContainerJob {
  name: string;
  group: string;
  triggerType: string;
  running: number;
  suspended: boolean;
}

export function executionPath(name: string): string {
  return `/executions/${encodeURIComponent(name)}`;
}

export function executionApi(name: string): string {
  return `/api/executions/${encodeURIComponent(name)}`;
}

export function unfinished(status: string): boolean {
  return status === 'Running' || status === 'Processing' || status === 'Degraded';
}

const kLooks: Record<string, [IconName, Tone]> = {
  Processing: ['hourglass', 'cyan'],
  Running: ['play', 'violet'],
  Succeeded: ['check-circle', 'green'],
  Failed: ['cross-circle', 'red'],
  Stopped: ['stop', 'slate'],
  Degraded: ['warning', 'amber'],
};

export function look(status: string): [IconName, Tone] {
  return kLooks[status] ?? ['info', 'slate'];
}
