// Every page, with data of every kind: it draws, fits, is accessible, runs nothing it was shown, and
// the browser has nothing to complain of. Screenshots are left in build/dashboard.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Browser } from './lib/browser.mjs';
import * as fill from './lib/fill.mjs';
import { Server, until } from './lib/server.mjs';

const queue = (name) => `/dashboard/messages/${fill.NAMESPACE}/${name}`;

const PAGES = {
  overview: () => '/dashboard/overview',
  jobs: () => '/dashboard/jobs?state=ENQUEUED',
  'jobs-failed': () => '/dashboard/jobs?state=FAILED',
  'jobs-none': () => '/dashboard/jobs?state=ENQUEUED&kind=none.such',
  'job-failed': ({ jobs }) => `/dashboard/jobs/${jobs.failed[0]}`,
  'job-succeeded': ({ jobs }) => `/dashboard/jobs/${jobs.succeeded}`,
  'job-running': ({ jobs }) => `/dashboard/jobs/${jobs.processing}`,
  'job-hostile': ({ jobs }) => `/dashboard/jobs/${jobs.script}`,
  failures: () => '/dashboard/failures',
  queues: () => '/dashboard/queues',
  queue: () => '/dashboard/queues/work',
  recurring: () => '/dashboard/recurring-jobs',
  'recurring-one': () => '/dashboard/recurring-jobs/nightly',
  servers: () => '/dashboard/servers',
  server: ({ jobs }) => `/dashboard/servers/${jobs.worker}`,
  busy: () => '/dashboard/busy',
  autoscaling: () => '/dashboard/autoscaling',
  target: () => '/dashboard/autoscaling/encoder-scaling?range=5m',
  'target-blind': () => '/dashboard/autoscaling/blind-scaling?range=15m',
  'target-table': () => '/dashboard/autoscaling/encoder-scaling?range=5m&view=table',
  'target-explain': () => '/dashboard/autoscaling/encoder-scaling?tab=explain',
  'target-yaml': () => '/dashboard/autoscaling/encoder-scaling?tab=yaml',
  executions: () => '/dashboard/executions',
  'container-jobs': () => '/dashboard/executions/jobs',
  execution: ({ executions }) => `/dashboard/executions/${executions.succeeds}`,
  'execution-failed': ({ executions }) => `/dashboard/executions/${executions.fails}`,
  messages: () => '/dashboard/messages',
  entity: () => queue('incoming'),
  'entity-empty': () => queue('empty'),
  message: () => `${queue('incoming')}/2`,
  'dead-letter': () => `${queue('mail')}/dead-letter`,
  settings: () => '/dashboard/settings',
  audit: () => '/dashboard/audit',
};

const WINDOWS = [['light', 1440], ['dark', 1440], ['light', 390], ['dark', 390]];

let server, browser, ids, visits;

before(async () => {
  server = await Server.start({ broker: true, flags: fill.EXAMPLE_IMAGE });
  browser = await Browser.start();
  ids = { jobs: await fill.fillJobs(server) };
  await fill.fillRecurring(server);
  await fill.fillMessages(server);
  await fill.fillDeadLetters(server);
  ids.executions = await fill.fillExecutions(server);
  await fill.fillScaling(server);
  await until(async () => (await server.get('/v1/scale/encoder-scaling')).replicas.ready > 0, 'a replica');
  visits = await Promise.all(WINDOWS.map(([theme, width]) => browser.open(server, { theme, width, height: width < 500 ? 844 : 900 })));
}, { timeout: 300_000 });

after(async () => {
  await browser?.close();
  await server?.close();
});

async function inert(page) {
  assert.ok(!['owned', '1'].includes(await page.title()), 'a script of the data ran');
  assert.equal(await page.locator('img[src="x"]').count(), 0, 'data became an element');
  const text = await page.evaluate(() => document.body.innerText);
  // What turns the direction of text, or steers a terminal, is shown by name.
  assert.ok(!/[\u0000-\u0008\u000b-\u001f\u202a-\u202e\u2066-\u2069]/.test(text), 'invisible characters of the data are in the page');
}

async function look(name, visit, index) {
  const [theme, width] = WINDOWS[index];
  await visit.go(PAGES[name](ids));
  await visit.shot(`${name}-${theme}-${width}`);
  await visit.fits(`${name} at ${width}`);
  await inert(visit.page);
  if (index !== 3) await visit.accessible();
  if (width === 390 && theme === 'light') {
    await visit.page.setViewportSize({ width: 320, height: 700 });
    await visit.fits(`${name} at 320`);
    await visit.page.setViewportSize({ width, height: 844 });
  }
  assert.deepEqual(visit.problems.splice(0), []);
}

for (const name of Object.keys(PAGES))
  test(`pages: ${name} draws, fits and is accessible in both themes, wide and narrow`, { timeout: 300_000 }, async () => {
    const results = await Promise.allSettled(visits.map((visit, index) => look(name, visit, index)));
    const failed = results.flatMap((result, index) => (result.status === 'rejected' ? [`${WINDOWS[index].join(' ')}: ${result.reason.message}`] : []));
    assert.deepEqual(failed, []);
  });
