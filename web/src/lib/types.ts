// SPDX-License-Identifier: Apache-2.0
// The server's JSON, as far as the pages read it.
import type { DecisionKind } from '../timeline/series';
import type { State } from './states';

export interface Progress {
  done: number;
  total: number;
  failed: number;
  percent: number;
}

export interface JobError {
  type: string;
  message: string;
  fingerprint?: string;
}

export interface JobEvent {
  state: State;
  createdAt: string;
  scheduledAt?: string;
  reason?: string;
  serverId?: string;
  serverName?: string;
  attempt?: number;
  latencyDuration?: number;
  processDuration?: number;
  message?: string;
  exceptionType?: string;
  exceptionMessage?: string;
  exceptionCauseType?: string;
  exceptionCauseMessage?: string;
  stackTrace?: string;
  doNotRetry?: boolean;
  fingerprint?: string;
  crash?: Crash;
}

export interface Crash {
  signal?: number | string;
  exitCode?: number;
  peakRss?: number;
  oom?: boolean;
  stderrTail?: string;
  build?: string;
}

export interface Job {
  id: string;
  kind: string;
  v: number;
  args?: unknown[];
  named?: Record<string, unknown>;
  name: string;
  queue: string;
  labels: string[];
  attempt: number;
  max_attempts: number;
  crashes: number;
  max_crashes: number;
  failures: number;
  priority: number;
  state: State;
  version: number;
  run_at?: string;
  retries?: number;
  retry?: unknown;
  timeout_s?: number;
  progress_timeout_s?: number;
  result_ttl?: unknown;
  deadline?: string;
  recurring_id?: string;
  trace?: { traceparent: string; tracestate?: string };
  meta?: Record<string, unknown>;
  progress?: Progress;
  created_by?: string;
  created_at: string;
  updated_at: string;
  history?: JobEvent[];
  error?: JobError;
}

export interface JobPage {
  items: Job[];
  next?: string;
  previous?: string;
  total: number;
  totalIsLowerBound?: boolean;
}

export interface LogLine {
  level: 'INFO' | 'WARN' | 'ERROR';
  at: string;
  text: string;
}

export interface LogPage {
  attempt: number;
  lines: LogLine[];
  dropped: number;
  next: number;
}

export interface Stats {
  timeStamp: string;
  total: number;
  awaiting: number;
  scheduled: number;
  enqueued: number;
  processing: number;
  processed?: number;
  failed: number;
  succeeded: number;
  allTimeSucceeded: number;
  deleted: number;
  recurringJobs: number;
  backgroundJobServers: number;
  quarantined?: number;
  amountSucceeded?: number;
  amountFailed?: number;
  estimation?: {
    processingDone: boolean;
    estimatedProcessingTimeAvailable: boolean;
    estimatedProcessingFinishedAt?: string;
  };
  failedLastHour?: number;
  oldestWaitMs?: number;
  occupiedWorkers?: number;
  totalWorkers?: number;
  uptimeMs?: number;
  systemCpuLoad?: number | null;
  processMemory?: number;
  freeMemory?: number;
}

export interface Server {
  id: string;
  name: string;
  workerPoolSize: number;
  occupiedWorkers: number;
  running: boolean;
  state: 'run' | 'quiet' | 'stop';
  firstHeartbeat: string;
  lastHeartbeat: string;
  tags?: string[];
  queues?: string[];
  kinds?: string[];
  version?: string;
  generation?: string;
  host?: string;
  pid?: number;
  runtime?: string;
  replica?: string;
  drainDeadline?: string;
  oldestStart?: string;
  systemTotalMemory?: number | null;
  systemFreeMemory?: number | null;
  systemCpuLoad?: number | null;
  processMaxMemory?: number | null;
  processFreeMemory?: number | null;
  processAllocatedMemory?: number | null;
  processCpuLoad?: number | null;
  jobs?: Job[];
}

export interface Queue {
  queue: string;
  priority: number;
  enqueued: number;
  scheduled: number;
  processing: number;
  succeeded?: number;
  failed?: number;
  deleted?: number;
  consumable?: number;
  oldestMs?: number;
  paused: boolean;
}

export interface FailureGroup {
  fingerprint: string;
  type: string;
  topFrame: string;
  message: string;
  kind: string;
  example: string;
  count: number;
  quarantined: number;
  firstSeen: string;
  lastSeen: string;
  muted: boolean;
}

export interface Page<T> {
  items: T[];
  total: number;
  limit?: number;
  offset?: number;
  hasNext?: boolean;
}

export interface Recurring {
  id: string;
  version: number;
  jobName: string;
  jobSignature?: string;
  labels: string[];
  amountOfRetries?: number;
  scheduleExpression: string;
  zoneId: string;
  dst?: string;
  missed?: string;
  missedWithin?: string;
  missedMax?: number;
  maxConcurrent?: number;
  createdBy?: string;
  createdAt: string;
  nextRun?: string;
  lastRun?: string;
  lastOutcome?: string;
  human?: string;
  paused?: boolean;
  runs?: number;
  missedRuns?: number;
  skippedRuns?: number;
  firstSkipped?: string;
  lastSkipped?: string;
  lastSkipReason?: string;
  spec?: Record<string, unknown>;
}

export interface FireTime {
  utc: string;
  local: string;
  note?: string;
}

export interface Preview {
  canonical: string;
  human: string;
  next: FireTime[];
}

export interface Operation {
  id: string;
  action: string;
  what: string;
  state: 'running' | 'done' | 'cancelled' | 'failed';
  matching: number;
  done: number;
  failed: number;
  startedAt: string;
  endedAt?: string;
  by: string;
  error?: string;
}

export interface Problem {
  type: string;
  createdAt: string;
  severity: 'info' | 'warning' | 'error';
  title: string;
  cause: string;
  fix: string;
  dismissible: boolean;
}

export interface TriggerState {
  name: string;
  type: string;
  value?: number | null;
  perReplica?: number | null;
  target: number;
  active?: boolean;
  ageMs?: number;
  error?: string;
}

// What the autoscaler scales.
export interface Target {
  target: string; // "namespace/name", or the name alone in the namespace default
  name: string;
  namespace: string;
  kind: string;
  desired: number;
  ready: number;
  starting: number;
  draining: number;
  min: number;
  max: number;
  paused?: { replicas?: number };
  triggers?: TriggerState[];
  warnings?: { text: string }[];
  decision?: { id: string; at: string; kind: DecisionKind; from: number; to: number; sentence: string };
}
