// The first walkthrough as somebody sees it who has only the browser: no worker runs, 40 jobs are
// scheduled, workers come before the jobs are due, each change of their number says why, and in the
// end there are none again.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Browser } from './lib/browser.mjs';
import { EXAMPLE_IMAGE } from './lib/fill.mjs';
import { freePort, ROOT, Server, until } from './lib/server.mjs';

const USER = 'dashboard-user:dashboard-password';
const TARGET = 'jobrunr-scaling';
const JOBS = 40, REPLICAS = 5; // 8 jobs for each worker
const DUE_SECONDS = 45, AHEAD_SECONDS = 35, RUN_MS = 10_000; // workers come that long before the jobs are due

let folder, server, browser, enqueue;

// The example's own manifests; only waiting is shorter, and ports are those that nobody else has.
function manifests(enqueuePort) {
  const copy = path.join(folder, 'k8s');
  cpSync(path.join(ROOT, 'examples/autoscaled-jobs/k8s'), copy, { recursive: true });
  const replace = (file, pairs) => {
    const name = path.join(copy, file);
    let text = readFileSync(name, 'utf8');
    for (const [old, now] of pairs) {
      assert.ok(text.includes(old), `${file} should hold '${old}'`);
      text = text.replaceAll(old, now);
    }
    writeFileSync(name, text);
  };
  replace('2-example.yaml', [['args: [web]', `args: [web, --enqueue, "127.0.0.1:${enqueuePort}"]`], ['8080', String(enqueuePort)]]);
  replace('3-scaling.yaml', [['pollingInterval: 30', 'pollingInterval: 2'], ['cooldownPeriod: 300', 'cooldownPeriod: 10'], ['runInMax=PT2M', `runInMax=PT${AHEAD_SECONDS}S`]]);
  return copy;
}

before(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'jobmill-walkthrough-'));
  const port = await freePort();
  writeFileSync(path.join(folder, 'password'), `${USER.split(':')[1]}\n`, { mode: 0o600 });
  enqueue = `http://127.0.0.1:${port}/schedule-example-jobs`;
  const flags = ['--user', USER.split(':')[0], '--password-file', path.join(folder, 'password'), ...EXAMPLE_IMAGE, '-f', manifests(port)];
  server = await Server.start({ flags: (http) => [...flags, '--service', `jobrunr-service:8000=${http}`] });
  browser = await Browser.start();
}, { timeout: 240_000 });

after(async () => {
  await browser?.close();
  await server?.close();
  rmSync(folder, { recursive: true, force: true });
});

const get = (target) => server.get(target, { user: USER });
const target = () => get(`/api/autoscaling/${TARGET}`);
const stateOf = async (state) => (await get('/api/jobs/counts'))[state] ?? 0;

// What a browser asks for before its user has said who he is.
const challenge = (url) => new Promise((resolve, reject) => http.get(url, (answer) => resolve(answer.resume())).on('error', reject));

// As people go: by the navigation.
async function to(visit, name) {
  await visit.page.getByRole('navigation').getByRole('link', { name, exact: false }).first().click();
  await visit.page.getByRole('heading', { level: 1, name }).waitFor();
  await visit.settled();
}

async function schedule() {
  const page = await until(() => fetch(`${enqueue}?count=${JOBS}&runIn=PT${DUE_SECONDS}S&executionTimeMs=${RUN_MS}`).catch(() => undefined), 'the page that schedules jobs');
  assert.equal(page.status, 200);
  assert.equal((await page.json()).scheduled, JOBS);
}

// A run that did not end by its own brings its job back to where it came from.
const interrupted = ({ history }) => history.some(({ state }, n) => state === 'PROCESSING' && ['ENQUEUED', 'SCHEDULED'].includes(history[n + 1]?.state));

test('walkthrough: 40 scheduled jobs, workers from none to five and back, each change with its reason', { timeout: 900_000 }, async () => {
  const refused = await challenge(`${server.url}/dashboard`);
  assert.equal(refused.statusCode, 401);
  assert.match(refused.headers['www-authenticate'], /^Basic realm="jobmill"/);

  const visit = await browser.open(server, { user: USER });
  const { page } = visit;
  await visit.go('/dashboard');
  await page.waitForURL(/\/dashboard\/overview$/);
  await page.getByRole('button', { name: /dashboard-user/ }).waitFor();
  await visit.shot('walkthrough-1-overview');

  // Nobody works, because nothing has to.
  await to(visit, 'Servers');
  await page.getByText('No servers found').waitFor();
  await page.getByText('no job waits: nothing has to run').waitFor();
  await page.locator('.empty p', { hasText: TARGET }).getByText('stays at 0: no trigger is active').waitFor();
  await visit.shot('walkthrough-2-no-servers');

  await schedule();
  await page.getByText('The next job is due').waitFor(); // without a reload
  await visit.shot('walkthrough-3-due');

  await to(visit, 'Jobs');
  const scheduled = page.locator('.state-link', { hasText: 'Scheduled' });
  await scheduled.filter({ hasText: String(JOBS) }).click();
  await page.waitForURL(/state=SCHEDULED/);
  await page.locator('.jobs-list tbody tr').nth(19).waitFor(); // a page of them
  await visit.shot('walkthrough-4-scheduled');

  // The number grows before the jobs are due, on the axis and in words.
  await to(visit, 'Autoscaling');
  await page.getByRole('link', { name: TARGET }).first().click();
  await page.getByRole('button', { name: '5 min', exact: true }).click();
  const marks = page.getByRole('application').getByRole('button');
  await marks.filter({ hasText: new RegExp(`→ ${REPLICAS}`) }).first().waitFor();
  await until(async () => (await target()).ready === REPLICAS, 'five workers that are ready');
  await page.locator('.replica-bar', { hasText: `${REPLICAS} ready` }).waitFor();
  assert.equal(await stateOf('PROCESSING'), 0, 'they are there before the work');
  await visit.shot('walkthrough-5-five');

  await marks.filter({ hasText: new RegExp(`→ ${REPLICAS}`) }).last().click();
  const side = page.locator('.target-side');
  await side.getByRole('heading', { name: new RegExp(`→ ${REPLICAS}$`) }).waitFor();
  await side.getByText(`${JOBS} ÷ 8 per replica = ${REPLICAS}`).waitFor();
  await side.locator('.reading.wins', { hasText: 'decides' }).waitFor();
  await side.locator('.steps .result', { hasText: `${REPLICAS} replicas` }).waitFor();
  const shown = await side.locator('.explanation-sentence').textContent();
  const record = await get(`/api/autoscaling/${TARGET}/decisions/${new URL(page.url()).searchParams.get('decision')}`);
  assert.equal(shown, record.sentence);
  assert.equal(record.to, REPLICAS);
  await visit.shot('walkthrough-6-decision');

  // They work.
  await to(visit, 'Servers');
  await page.locator('tbody tr').nth(REPLICAS - 1).waitFor();
  await until(async () => (await stateOf('PROCESSING')) > 0, 'the due time');
  await page.locator('tbody tr', { hasText: '4 / 4' }).first().waitFor();
  await visit.shot('walkthrough-7-servers');
  await to(visit, 'Busy');
  await page.locator('tbody tr', { hasText: 'example.sample' }).first().waitFor();
  await visit.shot('walkthrough-8-busy');

  await to(visit, 'Jobs');
  await page.locator('.state-link', { hasText: 'Succeeded' }).filter({ hasText: String(JOBS) }).waitFor({ timeout: 120_000 });
  await visit.shot('walkthrough-9-succeeded');

  // And nobody is left, after the cooldown.
  await until(async () => {
    const { desired, ready, starting, draining } = await target();
    return desired + ready + starting + draining === 0;
  }, 'the end of all workers');
  await to(visit, 'Autoscaling');
  await page.getByRole('link', { name: TARGET }).first().click();
  await page.getByRole('button', { name: '5 min', exact: true }).click();
  await marks.filter({ hasText: /→ 0/ }).first().waitFor();
  await marks.filter({ hasText: /→ 0/ }).last().click();
  await side.getByRole('heading', { name: /→ 0$/ }).waitFor();
  const { at, sentence } = await get(`/api/autoscaling/${TARGET}/decisions/${new URL(page.url()).searchParams.get('decision')}`);
  const [since, utc] = /since (\d\d:\d\d:\d\d)/.exec(sentence);
  const here = new Date(`${at.slice(0, 10)}T${utc}Z`).toLocaleTimeString('en-GB', { timeZone: 'Europe/Brussels' });
  assert.equal(await side.locator('.explanation-sentence').textContent(), sentence.replace(since, `since ${here}`));
  await visit.shot('walkthrough-10-zero');
  await to(visit, 'Servers');
  await page.getByText('No servers found').waitFor();

  const all = (await get('/v1/jobs?limit=100')).items;
  const jobs = await Promise.all(all.map(({ id }) => get(`/v1/jobs/${id}?history=1`)));
  assert.equal(jobs.length, JOBS);
  assert.deepEqual(jobs.filter(({ state }) => state !== 'SUCCEEDED'), []);
  assert.deepEqual(jobs.filter(interrupted), []);
  await visit.close();
});
