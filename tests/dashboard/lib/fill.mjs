// Data of every kind by the public API: what a year of use leaves behind, in a few seconds.
import path from 'node:path';
import { BIN, until } from './server.mjs';

// What may stand in any text that comes from outside. Each page that shows it must show it as text.
export const SCRIPT = '<script>document.title="owned"</script><img src=x onerror="document.title=1">';
export const BIDI = 'invoice\u202Efdp.exe\u202C\u2066x\u2069';
export const ANSI = '\u001b[31mred\u001b[0m \u001b]8;;http://evil.example\u0007link\u001b]8;;\u0007 bell\u0007 back\b';
export const LONG = 'a-name-without-a-single-blank-'.repeat(8).slice(0, 220);

// A worker by hand: it claims what it is told to claim and settles as it is told to.
export class HandWorker {
  static async register(server, { queues, name = 'hand', concurrency = 200, kinds } = {}) {
    const worker = new HandWorker();
    worker.server = server;
    const answer = await server.post('/v1/workers', { name, concurrency, ...(queues ? { queues } : {}), ...(kinds ? { kinds } : {}), host: 'test', version: '1.2.3', tags: ['test'] });
    worker.id = answer.worker_id;
    worker.held = [];
    worker.heart = setInterval(() => worker.beat().catch(() => {}), 4000).unref(); // the server may be away
    return worker;
  }

  // Keeps its registration, and the jobs that it holds for good.
  beat() {
    return this.server.post(`/v1/workers/${this.id}/beat`, { running: this.held.map((job) => ({ id: job.id, lock_token: job.lock_token })) });
  }

  async leave() {
    clearInterval(this.heart);
    await this.server.call('DELETE', `/v1/workers/${this.id}`);
  }

  async claim(max = 1, wait = 5000) {
    return (await this.server.post(`/v1/workers/${this.id}/claim`, { max, wait_ms: wait })).jobs;
  }

  async log(job, lines) {
    await this.server.post(`/v1/jobs/${job.id}/logs`, { lock_token: job.lock_token, logs: lines });
  }

  complete(job, result) {
    return this.server.post(`/v1/jobs/${job.id}/complete`, { lock_token: job.lock_token, ...(result === undefined ? {} : { result }) });
  }

  fail(job, error) {
    return this.server.post(`/v1/jobs/${job.id}/fail`, { lock_token: job.lock_token, ...error });
  }
}

async function enqueue(server, spec) {
  const answer = await server.post('/v1/jobs', spec);
  return answer.jobs ? answer.jobs.map((job) => job.id) : answer.id;
}

// Jobs in each state. Answers the ids that tests look for.
export async function fillJobs(server) {
  const ids = {};
  await enqueue(server, { kind: 'bulk.thousand', queue: 'bulk', count: 1000, name: 'one of a thousand', labels: ['tenant:acme'] });
  ids.enqueued = await enqueue(server, { kind: 'mail.send', queue: 'waiting', name: LONG, args: ['bob@example.org', 3], labels: ['tenant:acme', 'area:mail'] });
  ids.script = await enqueue(server, { kind: 'mail.send', queue: 'waiting', name: SCRIPT, args: [SCRIPT, BIDI, ANSI], labels: [SCRIPT.slice(0, 40)], priority: 7 });
  ids.bidi = await enqueue(server, { kind: 'mail.send', queue: 'waiting', name: BIDI, labels: ['b\u202Eidi'] });
  ids.scheduled = await enqueue(server, { kind: 'report.weekly', queue: 'reports', name: 'the weekly report', delay: 'PT2H' });
  await enqueue(server, { kind: 'report.weekly', queue: 'reports', delay: 'PT10M', count: 30 });

  const worker = await HandWorker.register(server, { queues: ['work'], name: 'hand-<b>1</b>' });
  ids.worker = worker.id;

  const succeeded = await enqueue(server, { kind: 'sum', queue: 'work', name: 'adds two numbers', args: [1, 2], labels: ['tenant:acme'] });
  ids.succeeded = succeeded;
  for (const job of await worker.claim(1)) {
    await worker.log(job, [{ level: 'INFO', text: 'page 1' }, { level: 'WARN', text: ANSI }, { level: 'ERROR', text: SCRIPT }]);
    await worker.complete(job, { sum: 3, note: SCRIPT });
  }

  ids.failed = [];
  for (let n = 0; n < 24; n++) {
    ids.failed.push(await enqueue(server, { kind: n % 3 ? 'mail.send' : 'pay.charge', queue: 'work', name: `fails ${n}`, retries: 0, args: [n] }));
  }
  for (const [n, job] of (await worker.claim(24)).entries()) {
    await worker.fail(job, n % 3
      ? { type: 'smtp.Refused', message: `mailbox ${n} full ${SCRIPT}`, stack: 'at smtp.send (smtp.cc:42)\nat main (main.cc:7)', retry: 'never' }
      : { type: 'pay.Declined', message: BIDI, stack: 'at pay.charge (pay.cc:11)', cause_type: 'net.Timeout', cause_message: ANSI, retry: 'never' });
  }

  ids.deleted = await enqueue(server, { kind: 'mail.send', queue: 'waiting', name: 'not wanted' });
  await server.call('DELETE', `/v1/jobs/${ids.deleted}`, { reason: `nobody wants it ${SCRIPT}` });

  ids.processing = await enqueue(server, { kind: 'video.encode', queue: 'work', name: 'encodes for a while', timeout_s: 3600 });
  const [running] = await worker.claim(1);
  worker.held.push(running);
  await worker.server.post(`/v1/jobs/${running.id}/progress`, { lock_token: running.lock_token, done: 40, total: 100, failed: 2 });
  await worker.log(running, [{ level: 'INFO', text: 'frame 40' }]);
  ids.running = running;
  ids.hand = worker;
  return ids;
}

export async function fillRecurring(server) {
  await server.call('PUT', '/v1/recurring/nightly', { schedule: '30 2 * * *', zone: 'Europe/Brussels', missed: 'within=PT1H', spec: { kind: 'report.nightly', args: [1], queue: 'reports', name: 'the nightly report' } });
  await server.call('PUT', '/v1/recurring/often', { schedule: 'PT10M', spec: { kind: 'tick', queue: 'ticks', name: SCRIPT } });
  await server.call('PUT', '/v1/recurring/hostile', { schedule: '0 0 1 1 *', zone: 'UTC', spec: { kind: 'tick', queue: 'ticks', name: BIDI, labels: [LONG.slice(0, 40)] } });
}

export const NAMESPACE = 'orders';
const arm = (name) => `/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/test/providers/Microsoft.ServiceBus/namespaces/${name}?api-version=2021-11-01`;
const armQueue = (name) => arm(`${NAMESPACE}/queues/${name}`);

// A queue of each condition. Dead letters come from messages that were received too often.
export async function fillMessages(server) {
  await server.call('PUT', arm(NAMESPACE), { location: 'here' });
  for (const name of ['incoming', 'empty', 'other']) await server.call('PUT', armQueue(name), { properties: {} });
  await server.call('PUT', armQueue('mail'), { properties: { deadLetteringOnMessageExpiration: true, defaultMessageTimeToLive: 'PT1S' } });
  await server.call('PUT', armQueue('sessions'), { properties: { requiresSession: true } });

  const send = (queue, messages) => server.post(`/v1/messages/${NAMESPACE}/${queue}/send`, { messages });
  await send('incoming', [
    { body: 'hello', subject: 'greeting', messageId: 'm-1', correlationId: 'c-1', applicationProperties: { tenant: 'acme', tries: 3 } },
    { body: JSON.stringify({ order: 17, lines: [{ sku: 'a', n: 2 }], note: SCRIPT }), contentType: 'application/json', applicationProperties: { tenant: SCRIPT } },
    { body: `${BIDI}\n${ANSI}`, subject: SCRIPT },
    { bodyBase64: Buffer.from([0, 1, 2, 0xff, 0xfe, 0x80]).toString('base64'), subject: 'binary' },
    { body: 'later', scheduledEnqueueTime: new Date(Date.now() + 3_600_000).toISOString() },
    { body: 'x'.repeat(20_000), subject: LONG.slice(0, 100) },
    ...Array.from({ length: 60 }, (_, n) => ({ body: `order ${n}`, messageId: `order-${n}` })),
  ]);
  await send('sessions', [{ body: 'in a session', sessionId: 'tenant-1' }]);
}

// Dead letters: messages whose time is up in a queue that keeps them. The time is the queue's, so that
// they stay where they are redriven to.
export async function fillDeadLetters(server, queue = 'mail', count = 12) {
  const messages = Array.from({ length: count }, (_, n) => ({
    body: JSON.stringify({ n, note: n === 0 ? SCRIPT : 'plain' }), subject: n === 1 ? BIDI : `letter ${n}`, contentType: 'application/json', applicationProperties: { tenant: n % 2 ? 'acme' : 'globex' },
  }));
  await server.post(`/v1/messages/${NAMESPACE}/${queue}/send`, { messages });
  await until(async () => (await server.get(`/v1/messages/${NAMESPACE}/${queue}/peek?sub=deadletter&count=1000`)).length >= count, 'the end of their time');
}

export const GROUP = 'test';
const MACHINE = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/test/providers';

// One execution that succeeds, one that fails, one that runs until it is stopped.
export async function fillExecutions(server) {
  await server.call('PUT', `${MACHINE}/Microsoft.App/managedEnvironments/env?api-version=2024-03-01`, { location: 'here', properties: {} });
  const job = (name, command, more = {}) => server.call('PUT', `${MACHINE}/Microsoft.App/jobs/${name}?api-version=2024-03-01`, {
    location: 'here',
    properties: {
      environmentId: `${MACHINE}/Microsoft.App/managedEnvironments/env`,
      configuration: { triggerType: 'Manual', replicaTimeout: 600, replicaRetryLimit: 0, manualTriggerConfig: { parallelism: 1, replicaCompletionCount: 1 }, secrets: [{ name: 'key', value: 'do-not-show-me' }], ...more },
      template: { containers: [{ name: 'main', image: 'shell', command: ['/bin/sh', '-c', command], env: [{ name: 'PLAIN', value: 'seen' }, { name: 'KEY', secretRef: 'key' }] }] },
    },
  });
  await server.call('PUT', '/v1/images', { match: 'shell', runner: 'process', command: ['/bin/sh'] });
  await job('succeeds', 'echo first line; echo "WARN careful" >&2; printf "\\033[31mred\\033[0m <script>alert(1)</script>\\n"; echo done');
  await job('fails', 'echo about to fail; exit 3');
  await job('runs', 'n=0; while true; do n=$((n+1)); echo "line $n"; sleep 0.1; done');
  const start = (name) => server.post(`${MACHINE}/Microsoft.App/jobs/${name}/start?api-version=2024-03-01`, {});
  const ids = {};
  for (const name of ['succeeds', 'fails', 'runs']) ids[name] = (await start(name)).name;
  const status = async (name) => (await server.get(`${MACHINE}/Microsoft.App/jobs/${name}/executions?api-version=2024-03-01`)).value[0]?.properties.status;
  await until(async () => (await status('succeeds')) === 'Succeeded', 'the end of an execution');
  await until(async () => (await status('fails')) === 'Failed', 'the failure of an execution');
  return ids;
}

const scaled = (name, max, trigger) => `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}}
spec:
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      terminationGracePeriodSeconds: 2
      containers: [{name: worker, image: jobmill-example, args: [worker]}]
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: ${name}-scaling}
spec:
  scaleTargetRef: {name: ${name}}
  pollingInterval: 1
  cooldownPeriod: 3600
  maxReplicaCount: ${max}
  triggers: [${trigger}]
`;

// Local workers that the autoscaler starts for a backlog, and an object whose trigger cannot be read.
export async function fillScaling(server) {
  await server.post('/v1/manifests/apply',
    scaled('encoder', 2, '{type: jobs, name: backlog, metadata: {queue: encode, targetValue: "20"}}') +
    scaled('blind', 3, '{type: metrics-api, name: broken, metadata: {url: "http://127.0.0.1:9/none", valueLocation: x, targetValue: "8"}}'));
  await server.post('/v1/jobs', { kind: 'example.sample', args: ['Sample', 300], queue: 'encode', count: 60 });
}

export const EXAMPLE_IMAGE = ['--image', `jobmill-example=${path.join(BIN, 'jobmill-example')}`];
