// What people do to jobs: one, some, and all that match.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fillJobs, HandWorker, SCRIPT } from './lib/fill.mjs';
import { until } from './lib/server.mjs';
import { button, says, stage } from './lib/stage.mjs';

const it = stage({}, fillJobs);

const state = async (id) => (await it.server.get(`/v1/jobs/${id}`)).state;
const counts = () => it.server.get('/api/jobs/counts');
const enqueue = async (spec) => {
  const { id, jobs } = await it.server.post('/v1/jobs', spec);
  return id ?? jobs.map((job) => job.id);
};

async function failMany(count, kind) {
  await enqueue({ kind, queue: kind, count, retries: 0 });
  const worker = await HandWorker.register(it.server, { queues: [kind], name: kind, concurrency: 1000 });
  for (let left = count; left > 0; ) {
    const jobs = await worker.claim(Math.min(left, 1000));
    await it.server.post(`/v1/workers/${worker.id}/settle`, { complete: [], release: [], fail: jobs.map((job) => ({ id: job.id, lock_token: job.lock_token, type: `${kind}.Error`, message: 'no', retry: 'never' })) });
    left -= jobs.length;
  }
  await worker.leave();
}

// The server works only while the page waits for an answer from one of these addresses, until it is woken.
async function itSleeps(page, addresses) {
  const { pid } = it.server.program.child;
  let asked = 0;
  const answer = async (route) => {
    if (asked++ === 0) process.kill(pid, 'SIGCONT');
    const response = await route.fetch();
    if (--asked === 0) process.kill(pid, 'SIGSTOP');
    await route.fulfill({ response });
  };
  await page.route(addresses, answer);
  return async () => {
    await page.unroute(addresses, answer);
    process.kill(pid, 'SIGCONT');
  };
}

test('jobs: a failed job is requeued on its page, and the page follows it', () =>
  it.visit(`/dashboard/jobs/${it.ids.failed[3]}`, async (page) => {
    await button(page, 'Requeue').click();
    await says(page, 'enqueued again');
    await page.locator('main .badge', { hasText: 'Enqueued' }).first().waitFor();
    assert.equal(await state(it.ids.failed[3]), 'ENQUEUED');
    assert.equal(await button(page, 'Requeue').count(), 0, 'an enqueued job cannot be requeued');
  }));

test('jobs: deleting asks first, with the focus on Cancel', () =>
  it.visit(`/dashboard/jobs/${it.ids.failed[4]}`, async (page) => {
    await button(page, 'Delete').first().click();
    const dialog = page.getByRole('dialog');
    await dialog.waitFor();
    await page.waitForFunction(() => document.activeElement.textContent === 'Cancel');
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    assert.equal(await state(it.ids.failed[4]), 'FAILED');
    await button(page, 'Delete').first().click();
    await dialog.getByRole('button', { name: 'Delete' }).click();
    await says(page, 'deleted');
    assert.equal(await state(it.ids.failed[4]), 'DELETED');
  }));

test('jobs: all that match a filter are requeued, with a count before and progress after', async () => {
  await failMany(30, 'many.fail');
  await it.visit('/dashboard/jobs?state=FAILED&kind=many.fail', async (page) => {
    await page.getByRole('checkbox', { name: 'Select all rows of this page' }).check();
    await page.getByRole('button', { name: /Select all 30 matching/ }).click();
    await button(page, 'Requeue').click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('heading', { name: 'Requeue 30 jobs?' }).waitFor();
    await dialog.getByRole('button', { name: /Requeue/ }).click();
    await page.locator('.operation', { hasText: '30 of 30' }).waitFor();
    await page.locator('.jobs-list tbody tr').first().waitFor({ state: 'detached' }); // after one's own change
  });
  assert.equal((await it.server.post('/api/jobs/search', { filter: { kind: 'many.fail', state: ['ENQUEUED'] }, limit: 1 })).total, 30);
});

test('jobs: for more than a thousand the word must be typed, and a stopped operation leaves the rest', async () => {
  await enqueue({ kind: 'crowd', queue: 'crowd', count: 100_000 });
  await it.visit('/dashboard/jobs?state=ENQUEUED&kind=crowd', async (page) => {
    await page.getByRole('checkbox', { name: 'Select all rows of this page' }).check();
    await page.getByRole('button', { name: /Select all .* matching/ }).click();
    await button(page, 'Delete').click();
    const dialog = page.getByRole('dialog');
    const go = dialog.getByRole('button', { name: /^Delete/ });
    await go.waitFor();
    assert.ok(await go.isDisabled());
    await dialog.getByRole('textbox').fill('delete');
    // The click comes before the end, however long a busy machine takes to draw.
    const wake = await itSleeps(page, /\/api\/(jobs\/bulk|operations)/);
    await go.click();
    await page.locator('.operation').getByRole('button', { name: 'Stop' }).click();
    await says(page, 'The rest stays as it was');
    await wake();
    await page.locator('.operation', { hasText: 'Cancelled' }).waitFor();
  });
  const [operation] = (await it.server.get('/api/operations')).filter((one) => one.state === 'cancelled');
  const left = (await it.server.get('/v1/queues')).find(({ queue }) => queue === 'crowd');
  assert.equal(left.deleted, operation.done, 'what the operation tells is what has happened');
  assert.equal(left.enqueued + left.deleted, 100_000);
});

test('jobs: a job is enqueued by the form', () =>
  it.visit('/dashboard/jobs?state=ENQUEUED', async (page) => {
    await button(page, 'Enqueue').first().click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Kind').fill('by.form');
    await dialog.getByLabel(/^Arguments/).fill('["<b>x</b>", 2]');
    await dialog.getByRole('button', { name: 'Enqueue', exact: true }).click();
    await says(page, 'enqueued');
    const { items } = await it.server.post('/api/jobs/search', { filter: { kind: 'by.form' }, limit: 2 });
    assert.deepEqual(items.map((job) => job.args), [['<b>x</b>', 2]]);
  }));

test('jobs: filters are in the address, Back undoes them, and pages are reached by keys', () =>
  it.visit('/dashboard/jobs?state=ENQUEUED', async (page) => {
    await page.getByRole('combobox').first().fill('kind:bulk.thousand');
    await page.keyboard.press('Enter');
    await page.waitForURL(/kind=bulk.thousand/);
    await page.getByText(/20 of 1,000/).waitFor();
    await button(page, 'Next').click();
    await page.waitForURL(/after=/);
    await page.goBack();
    await page.waitForURL((url) => !url.searchParams.has('after') && url.searchParams.get('kind') === 'bulk.thousand');
    await page.goBack();
    await page.waitForURL((url) => !url.searchParams.has('kind'));
    await page.reload();
    await page.locator('main h1', { hasText: 'Jobs' }).waitFor();
  }));

test('jobs: j, x and Enter walk, select and open rows; Escape goes back', () =>
  it.visit('/dashboard/jobs?state=FAILED', async (page) => {
    await page.locator('tbody tr').nth(2).waitFor();
    await page.locator('main h1').click();
    for (const key of ['j', 'j', 'x']) await page.keyboard.press(key);
    await page.locator('tbody tr').nth(1).and(page.locator('[aria-selected="true"]')).waitFor();
    await page.getByText('1 selected').waitFor();
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/jobs\/[0-9a-f-]{36}/);
    await page.locator('main h1').waitFor();
    await page.keyboard.press('Escape');
    await page.waitForURL(/\/dashboard\/jobs(\?|$)/);
  }));

test('jobs: a group of failures is requeued as a whole', async () => {
  await failMany(7, 'grouped.fail');
  await it.visit('/dashboard/failures', async (page) => {
    await page.getByRole('row', { name: /grouped.fail.Error/ }).getByRole('button').click();
    await page.getByRole('menuitem', { name: /Requeue/ }).click();
    await page.getByRole('dialog').getByRole('button', { name: /Requeue/ }).click();
    await until(async () => (await it.server.post('/api/jobs/search', { filter: { kind: 'grouped.fail', state: ['FAILED'] }, limit: 1 })).total === 0, 'the end of the group');
  });
});

test('jobs: exported files are downloads, and their cells no formulas', async () => {
  await enqueue({ kind: 'by.export', queue: 'export', name: '=HYPERLINK("http://evil.example")', labels: ['+1', '@a'] });
  await enqueue({ kind: 'by.export', queue: 'export', name: SCRIPT });
  for (const [format, type] of [['csv', 'text/csv'], ['jsonl', 'application/jsonl']]) {
    const answer = await fetch(`${it.server.url}/api/export/jobs?kind=by.export&format=${format}`);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get('content-type'), new RegExp(`^${type}`));
    assert.match(answer.headers.get('content-disposition'), /^attachment/);
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
    const text = await answer.text();
    assert.ok(text.includes('HYPERLINK') && text.includes('<script>'));
    if (format === 'csv') assert.doesNotMatch(text, /(^|,)"?[=+@-]/m);
  }
});

test('jobs: counts of the sidebar change without a reload', () =>
  it.visit('/dashboard/jobs?state=SCHEDULED', async (page) => {
    const before = (await counts()).SCHEDULED;
    const link = page.locator('.state-link', { hasText: 'Scheduled' });
    await link.filter({ hasText: String(before) }).waitFor();
    await enqueue({ kind: 'later', queue: 'later', delay: 'PT1H', count: 3 });
    await link.filter({ hasText: String(before + 3) }).waitFor();
  }));
