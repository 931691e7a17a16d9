// The broker's queues: send, look, purge, and the dead-letter workbench.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fillDeadLetters, fillMessages, NAMESPACE } from './lib/fill.mjs';
import { until } from './lib/server.mjs';
import { button, says, stage } from './lib/stage.mjs';

const it = stage({ broker: true }, async (server) => {
  await fillMessages(server);
  await fillDeadLetters(server);
});

const path = (queue, rest = '') => `/dashboard/messages/${NAMESPACE}/${queue}${rest}`;
const entity = (queue) => it.server.get(`/api/messages/${NAMESPACE}/${queue}`);
const peek = async (queue, more = '') => (await it.server.get(`/api/messages/${NAMESPACE}/${queue}/peek?count=200${more}`)).items;

test('messages: one is sent by the form, five times, and is seen without being taken', () =>
  it.visit(path('empty'), async (page) => {
    await page.getByText('This queue is empty').waitFor();
    await button(page, /Send/).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Body').fill('{"hello": "<b>you</b>"}');
    await dialog.getByLabel('Content type').fill('application/json');
    await dialog.getByLabel('Subject').fill('greeting');
    await dialog.getByLabel(/Application properties/).fill('tenant=acme\ntries=3');
    await dialog.getByLabel('How many').fill('5');
    await dialog.getByRole('button', { name: 'Send', exact: true }).click();
    await says(page, '5 messages sent');
    await page.locator('tbody tr').nth(4).waitFor();
    await page.locator('tbody tr').first().getByRole('link').click();
    await page.getByRole('heading', { name: 'Message 1' }).waitFor();
    await page.locator('.json', { hasText: '<b>you</b>' }).waitFor();
    await page.getByText('tries').waitFor();
    await button(page, 'Hex').click();
    await page.getByText('00000000  7b 22').waitFor();
    const [message] = await peek('empty');
    assert.equal(message.deliveryCount, 0, 'looking counts no delivery');
    assert.deepEqual(message.applicationProperties, { tenant: 'acme', tries: 3 });
  }));

test('messages: pages go by sequence number, and the address keeps the place', () =>
  it.visit(path('incoming'), async (page) => {
    await page.locator('tbody tr').first().waitFor();
    await button(page, 'Next').click();
    await page.waitForURL(/from=51/);
    await page.locator('tbody tr', { hasText: '51' }).first().waitFor();
    await page.goBack();
    await page.waitForURL((url) => !url.searchParams.has('from'));
  }));

test('messages: a search finds by text and by property', () =>
  it.visit(path('incoming', '?text=order%2017'), async (page) => {
    await page.getByText(/1 message match/).waitFor();
    await page.getByLabel('Text in the body').fill('');
    await page.getByLabel('Property', { exact: true }).fill('tenant');
    await page.getByLabel('Its value').fill('acme');
    await button(page, 'Search').click();
    await page.waitForURL(/property=tenant/);
    await page.locator('tbody tr', { hasText: 'greeting' }).waitFor();
  }));

test('messages: a queue is disabled and enabled', () =>
  it.visit(path('other'), async (page) => {
    await button(page, 'Disable').click();
    await page.getByRole('dialog').getByRole('button', { name: 'Disable' }).click();
    await button(page, 'Enable').waitFor();
    assert.equal((await entity('other')).status, 'Disabled');
    await button(page, 'Enable').click();
    await button(page, 'Disable').waitFor();
    assert.equal((await entity('other')).status, 'Active');
  }));

test('messages: dead letters are grouped, found by property, and redriven to another queue', () =>
  it.visit(path('mail', '/dead-letter'), async (page) => {
    await page.getByRole('link', { name: 'TTLExpiredException' }).waitFor();
    await page.getByText('12 dead letters match').waitFor();
    await page.getByLabel('Property', { exact: true }).fill('tenant');
    await page.getByLabel('Its value').fill('acme');
    await button(page, 'Search').click();
    await page.getByText('6 dead letters match').waitFor();
    await button(page, /Redrive/).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('heading', { name: 'Redrive 6 dead letters?' }).waitFor();
    await dialog.getByLabel('To', { exact: false }).first().fill('other');
    await dialog.getByRole('button', { name: 'Redrive' }).click();
    await page.locator('.operation', { hasText: '6 of 6' }).waitFor();
    await page.getByText('No dead letters').waitFor();
    assert.equal((await entity('other')).active, 6);
    assert.equal((await entity('mail')).deadLetter, 6);
  }));

test('messages: a dead letter is corrected and sent again', () =>
  it.visit(path('mail', '/dead-letter'), async (page) => {
    const before = (await entity('mail')).deadLetter;
    await page.getByRole('button', { name: /Edit and resend/ }).first().click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Body').fill('{"n": "corrected"}');
    await dialog.getByLabel('To', { exact: false }).last().fill('other');
    await dialog.getByRole('button', { name: 'Send', exact: true }).click();
    await says(page, 'sent again');
    assert.equal((await entity('mail')).deadLetter, before - 1);
    assert.ok((await peek('other')).some(({ body }) => body === '{"n": "corrected"}'));
  }));

test('messages: a slow redrive shows its progress and is stopped', async () => {
  await fillDeadLetters(it.server, 'mail', 40);
  await it.visit(path('mail', '/dead-letter'), async (page) => {
    await page.locator('tbody tr').nth(5).waitFor();
    await button(page, /Redrive/).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel(/At most per second/).fill('1');
    await dialog.getByRole('button', { name: 'Redrive' }).click();
    await page.locator('.operation').getByRole('button', { name: 'Stop' }).click();
    await page.locator('.operation', { hasText: 'Cancelled' }).waitFor();
  });
  const operation = (await it.server.get('/api/operations')).find(({ state }) => state === 'cancelled');
  assert.ok(operation.done < 40, `it went on: ${operation.done}`);
});

test('messages: purging says how many before', async () => {
  const { active, scheduled } = await entity('incoming');
  await it.visit(path('incoming'), async (page) => {
    await button(page, /Purge/).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('heading', { name: `Purge ${active + scheduled} messages?` }).waitFor();
    await dialog.getByRole('button', { name: 'Purge' }).click();
    await until(async () => (await entity('incoming')).active === 0, 'the purge');
  });
});
