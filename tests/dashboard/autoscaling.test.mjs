// The timeline of a target: every change has a mark that explains itself, every stretch a reason.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EXAMPLE_IMAGE, fillScaling } from './lib/fill.mjs';
import { until } from './lib/server.mjs';
import { button, says, stage } from './lib/stage.mjs';

const it = stage({ flags: EXAMPLE_IMAGE }, async (server) => {
  await fillScaling(server);
  await until(async () => (await server.get('/api/autoscaling/encoder-scaling')).ready > 0, 'a replica');
});

const PAGE = '/dashboard/autoscaling/encoder-scaling?range=5m';
const target = () => it.server.get('/api/autoscaling/encoder-scaling');
const decisions = async () => (await it.server.get('/api/autoscaling/encoder-scaling/decisions')).items;
const timeline = (page) => page.getByRole('application');

test('autoscaling: the list says what each trigger says, and which one cannot be read', () =>
  it.visit('/dashboard/autoscaling', async (page) => {
    const blind = page.locator('tbody tr', { hasText: 'blind-scaling' });
    await blind.getByText('failing').waitFor();
    await blind.getByText('unknown').waitFor();
    await page.locator('tbody tr', { hasText: 'encoder-scaling' }).getByText('target 20').waitFor();
  }));

test('autoscaling: every change of the number has a mark, whose explanation has the numbers', async () => {
  const changes = (await decisions()).filter(({ from, to }) => from !== to);
  assert.ok(changes.length > 0);
  await it.visit(PAGE, async (page) => {
    const marks = timeline(page).getByRole('button');
    await marks.first().waitFor();
    await marks.filter({ hasText: String(changes[0].to) }).last().click();
    await page.waitForURL(/decision=/);
    const side = page.locator('.target-side');
    await side.getByText(/÷ 20 per replica/).first().waitFor();
    await side.getByText('Stabilisation window').waitFor();
    await side.getByText(/inputs/).waitFor();
  });
});

test('autoscaling: a click on a flat stretch names the rule that held it', () =>
  it.visit(PAGE, async (page) => {
    const overlay = page.locator('.timeline-overlay');
    const { width } = await overlay.boundingBox();
    await overlay.click({ position: { x: width * 0.9, y: 120 } });
    await page.waitForURL(/at=/);
    await page.getByText('The rule that held it').waitFor();
  }));

test('autoscaling: keys move the cursor, step through decisions, zoom, explain and show the table', () =>
  it.visit(PAGE, async (page) => {
    const chart = timeline(page);
    await chart.getByRole('button').first().waitFor();
    await chart.focus();
    await page.keyboard.press('ArrowLeft');
    const first = await page.locator('.timeline-time').textContent();
    await page.keyboard.press('Shift+ArrowLeft');
    assert.notEqual(await page.locator('.timeline-time').textContent(), first);
    await page.keyboard.press('End');
    await page.keyboard.press('[');
    await page.waitForURL(/decision=/);
    await page.keyboard.press('+');
    await page.waitForURL(/from=.*to=/);
    await page.keyboard.press('-');
    await page.keyboard.press('e');
    await page.locator('.target-side h2, .target-side h3').first().waitFor();
    await chart.focus();
    await page.keyboard.press('t');
    await page.waitForURL(/view=table/);
    await page.getByRole('columnheader', { name: 'Replicas: desired' }).waitFor();
    await page.goBack();
    await chart.waitFor();
  }));

test('autoscaling: the same numbers as a file for spreadsheets', () =>
  it.visit(PAGE, async (page) => {
    await timeline(page).waitFor();
    const download = page.waitForEvent('download');
    await button(page, 'CSV').click();
    const stream = await (await download).createReadStream();
    let text = '';
    for await (const part of stream) text += part;
    assert.match(text, /^time,.*Replicas: desired/);
    assert.match(text, /activated 0 → \d/);
  }));

test('autoscaling: every range draws', () =>
  it.visit(PAGE, async (page) => {
    for (const range of ['1 h', '24 h', '30 d', '400 d', '5 min']) {
      await button(page, range).click();
      await page.locator(`button[aria-pressed="true"]`, { hasText: range }).waitFor();
      await timeline(page).waitFor();
    }
  }));

test('autoscaling: a target is set once, paused at a number, and resumed', () =>
  it.visit(PAGE, async (page) => {
    await button(page, 'Pause…').click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('spinbutton').fill('1');
    await dialog.getByRole('button', { name: 'Pause', exact: true }).click();
    await page.getByText('Paused at 1').waitFor();
    await until(async () => (await target()).desired === 1, 'the pause at 1');
    await button(page, 'Resume').click();
    await says(page, 'scaled again');
    assert.equal((await target()).paused, undefined);
    await button(page, 'Set once…').click();
    await dialog.getByRole('spinbutton').fill('2');
    await dialog.getByRole('button', { name: 'Set', exact: true }).click();
    await says(page, 'set to 2');
    await until(async () => (await decisions()).some(({ to }) => to === 2), 'the decision');
  }));

test('autoscaling: the ledger opens a record, and the manifest is shown', () =>
  it.visit('/dashboard/autoscaling/encoder-scaling?tab=explain', async (page) => {
    await page.locator('.ledger-row summary').first().click();
    await page.locator('.ledger-row .steps').first().waitFor();
    await page.getByRole('link', { name: 'YAML' }).click();
    await page.getByText('kind: ScaledObject').waitFor();
  }));
