// Recurring jobs, queues and workers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fillJobs, fillRecurring } from './lib/fill.mjs';
import { until } from './lib/server.mjs';
import { button, says, stage } from './lib/stage.mjs';

const it = stage({}, async (server) => {
  const ids = await fillJobs(server);
  await fillRecurring(server);
  return ids;
});

const recurring = (id) => it.server.get(`/v1/recurring/${id}`);
const queue = async (name) => (await it.server.get('/api/queues')).find((one) => one.queue === name);
const worker = (id) => it.server.get(`/v1/workers/${id}`);

async function choose(page, row, item) {
  await page.locator('tr', { hasText: row }).getByRole('button', { name: /More|Actions/ }).click();
  await page.getByRole('menuitem', { name: item }).click();
}

test('recurring: one is created with a preview of its runs', () =>
  it.visit('/dashboard/recurring-jobs', async (page) => {
    await button(page, 'Create').click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Id', { exact: false }).first().fill('made-here');
    await dialog.getByLabel(/^Schedule/).fill('15 3 * * 1');
    await dialog.getByLabel(/^Kind/).fill('report.made');
    await dialog.getByText(/03:15/).first().waitFor();
    await dialog.getByRole('button', { name: 'Save' }).click();
    await says(page, 'Saved');
    assert.equal((await recurring('made-here')).scheduleExpression, '15 3 * * 1');
  }));

test('recurring: editing shows what changes, and a wrong schedule says why', () =>
  it.visit('/dashboard/recurring-jobs', async (page) => {
    await choose(page, 'nightly', /Edit/);
    const dialog = page.getByRole('dialog');
    const schedule = dialog.getByLabel(/^Schedule/);
    await schedule.fill('99 3 * * *');
    await dialog.locator('.wrong').first().waitFor();
    assert.ok(await dialog.getByRole('button', { name: 'Save' }).isDisabled());
    await schedule.fill('45 4 * * *');
    await dialog.getByText('With this change').waitFor();
    await dialog.getByRole('button', { name: 'Save' }).click();
    await says(page, 'Saved');
    assert.equal((await recurring('nightly')).scheduleExpression, '45 4 * * *');
  }, { expect: [/400/] })); // the browser tells of the answer to the wrong schedule

test('recurring: one is run now, paused, resumed and deleted', () =>
  it.visit('/dashboard/recurring-jobs', async (page) => {
    await choose(page, 'often', 'Run now');
    await says(page, 'A run is enqueued');
    await choose(page, 'often', 'Pause');
    await until(async () => (await recurring('often')).paused, 'the pause');
    await page.locator('tr', { hasText: 'often' }).getByText('Paused').waitFor();
    await choose(page, 'often', 'Resume');
    await until(async () => !(await recurring('often')).paused, 'the end of the pause');
    await choose(page, 'hostile', /Delete/);
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await says(page, 'Deleted');
    await it.server.get('/v1/recurring/hostile', { expect: 404 });
  }));

test('queues: a queue is paused and opened again', () =>
  it.visit('/dashboard/queues/bulk', async (page) => {
    await button(page, 'Pause').click();
    await page.getByRole('dialog').getByRole('button', { name: 'Pause' }).click();
    await says(page, 'paused');
    assert.equal((await queue('bulk')).paused, true);
    assert.equal((await queue('bulk')).consumable, 0);
    await button(page, 'Resume').click();
    await says(page, 'open again');
    assert.equal((await queue('bulk')).paused, false);
  }));

test('queues: purging says how many before, and deletes them', () =>
  it.visit('/dashboard/queues/waiting', async (page) => {
    const { enqueued } = await queue('waiting');
    await button(page, 'Purge').click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('heading', { name: new RegExp(`${enqueued} job`) }).waitFor();
    await dialog.getByRole('button', { name: /Purge|Delete/ }).click();
    await until(async () => (await queue('waiting')).enqueued === 0, 'the purge');
  }));

test('servers: a worker is quietened, resumed and drained', () =>
  it.visit(`/dashboard/servers/${it.ids.worker}`, async (page) => {
    await button(page, 'Quiet').click();
    await says(page, 'no more jobs');
    assert.equal((await worker(it.ids.worker)).state, 'quiet');
    await button(page, 'Resume').click();
    await says(page, 'takes jobs again');
    assert.equal((await worker(it.ids.worker)).state, 'run');
    await button(page, 'Drain').click();
    await page.getByRole('dialog').getByRole('button', { name: 'Drain' }).click();
    await says(page, 'drains');
    assert.equal((await worker(it.ids.worker)).state, 'stop');
  }));
