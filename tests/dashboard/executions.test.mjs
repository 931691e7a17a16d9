// Executions of container jobs: their output, stopping, running again, starting with changes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fillExecutions } from './lib/fill.mjs';
import { until } from './lib/server.mjs';
import { button, says, stage } from './lib/stage.mjs';

const it = stage({ broker: true }, fillExecutions);
const execution = (name) => it.server.get(`/api/executions/${name}`);

test('executions: the output of one that ended, by stream and by words; secrets are not shown', () =>
  it.visit(`/dashboard/executions/${it.ids.succeeds}`, async (page) => {
    const log = page.getByRole('log');
    await log.getByText('first line').waitFor();
    await log.getByText('<script>alert(1)</script>').waitFor();
    assert.equal(await log.locator('.ansi-red', { hasText: 'red' }).count(), 1, 'colours of terminals are shown');
    await button(page, 'stderr').click();
    await log.getByText('first line').waitFor({ state: 'detached' });
    await log.getByText('careful').waitFor();
    await button(page, 'Both').click();
    await page.getByRole('searchbox').fill('done');
    await log.getByText('first line').waitFor({ state: 'detached' });
    await page.getByRole('row', { name: /PLAIN/ }).getByText('seen').waitFor();
    await page.getByRole('row', { name: /KEY/ }).getByText('set, not shown').waitFor();
    assert.ok(!(await page.content()).includes('do-not-show-me'));
    const download = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Download' }).click();
    assert.match((await download).suggestedFilename(), /\.log$/);
  }));

test('executions: a failed one is found by its state and run again', () =>
  it.visit('/dashboard/executions', async (page) => {
    await page.getByLabel('State').selectOption('Failed');
    await page.waitForURL(/state=Failed/);
    await page.getByRole('link', { name: it.ids.fails }).click();
    await page.getByText('exit 3').first().waitFor();
    await button(page, 'Run again').click();
    await says(page, 'is started');
    await page.waitForURL((url) => !url.pathname.endsWith(it.ids.fails) && /fails-/.test(url.pathname));
    await page.locator('main .badge', { hasText: 'Failed' }).first().waitFor();
  }));

test('executions: the output of one that runs is followed line by line, until it is stopped', () =>
  it.visit(`/dashboard/executions/${it.ids.runs}`, async (page) => {
    const lines = page.getByRole('log').locator('.log-line');
    await lines.nth(5).waitFor();
    const seen = await lines.count();
    await lines.nth(seen + 5).waitFor();
    await button(page, 'Stop').click();
    await page.getByRole('dialog').getByRole('button', { name: 'Stop' }).click();
    await page.locator('main .badge', { hasText: 'Stopped' }).first().waitFor();
    const texts = await page.getByRole('log').locator('.log-text').allTextContents();
    assert.deepEqual(texts.filter((text) => text.startsWith('line ')), texts.filter((text) => text.startsWith('line ')).map((_, n) => `line ${n + 1}`));
    assert.equal((await execution(it.ids.runs)).status, 'Stopped');
  }));

test('executions: a job is started now with other words and variables', () =>
  it.visit('/dashboard/executions/jobs', async (page) => {
    await page.getByRole('row', { name: /succeeds/ }).getByRole('button', { name: /Start now/ }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel(/^Command/).fill('/bin/sh\n-c\necho "hello $WHO"');
    await dialog.getByLabel(/More variables/).fill('WHO=world');
    await dialog.getByRole('button', { name: 'Start', exact: true }).click();
    await page.waitForURL(/\/executions\/succeeds-/);
    await page.getByRole('log').getByText('hello world').waitFor();
    const name = new URL(page.url()).pathname.split('/').pop();
    await until(async () => (await execution(name)).status === 'Succeeded', 'its end');
  }));
