// When the server goes away and comes back, when there is no event stream, and keys that work everywhere.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fillJobs } from './lib/fill.mjs';
import { stage } from './lib/stage.mjs';

const it = stage({ broker: true }, fillJobs);

// What a browser says of a server that is away.
const AWAY = [/ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|ERR_INCOMPLETE_CHUNKED|ERR_SOCKET_NOT_CONNECTED|net::ERR|50[234]|Failed to load resource/];
const NO_STREAM = [/sse|ERR_FAILED|Failed to load resource/];

async function write(lines) {
  const { hand, running } = it.ids;
  await hand.log(running, lines.map((n) => ({ level: 'INFO', text: `tail ${n}` })));
}

async function tail(page) {
  const texts = await page.getByRole('log').locator('.log-text').allTextContents();
  return texts.filter((text) => text.startsWith('tail '));
}

test('recovery: a live tail of a log goes on after the server was killed, with no line lost or doubled', { timeout: 300_000 }, () =>
  it.visit(`/dashboard/jobs/${it.ids.processing}`, async (page) => {
    await page.getByRole('log').first().waitFor();
    await write([1, 2, 3]);
    await page.getByText('tail 3').waitFor();
    await it.server.kill();
    await it.server.run();
    await write([4, 5]);
    await page.getByText('tail 5').waitFor({ timeout: 60_000 });
    await write([6]);
    await page.getByText('tail 6').waitFor({ timeout: 60_000 });
    assert.deepEqual(await tail(page), [1, 2, 3, 4, 5, 6].map((n) => `tail ${n}`));
  }, { expect: AWAY }));

test('recovery: while the server is away the last known data stay, with their age', { timeout: 300_000 }, () =>
  it.visit('/dashboard/jobs?state=FAILED', async (page, visit) => {
    await page.locator('tbody tr').first().waitFor();
    await it.server.kill();
    await page.getByRole('button', { name: 'Refresh' }).first().click();
    await page.getByText(/Last known data/).waitFor({ timeout: 60_000 });
    assert.ok((await page.locator('tbody tr').count()) > 0);
    await visit.shot('lost-connection');
    await it.server.run();
    await page.getByText(/Last known data/).waitFor({ state: 'hidden', timeout: 60_000 });
  }, { expect: AWAY }));

test('recovery: without an event stream the page reads again every ten seconds and says so', { timeout: 300_000 }, () =>
  it.visit('/dashboard/jobs?state=SCHEDULED', async (page) => {
    await page.getByText('Every 10 s').waitFor({ timeout: 120_000 });
    const { SCHEDULED } = await it.server.get('/api/jobs/counts');
    await it.server.post('/v1/jobs', { kind: 'later', queue: 'later', delay: 'PT1H', count: 2 });
    await page.locator('.state-link', { hasText: 'Scheduled' }).filter({ hasText: String(SCHEDULED + 2) }).waitFor({ timeout: 60_000 });
  }, { live: false, expect: NO_STREAM }));

test('keys: g and a letter lead to every area, ? helps, Ctrl+K finds, and none fires in a field', () =>
  it.visit('/dashboard/overview', async (page) => {
    const places = { j: 'jobs', q: 'queues', f: 'failures', r: 'recurring-jobs', s: 'servers', a: 'autoscaling', e: 'executions', m: 'messages', o: 'overview' };
    for (const [key, place] of Object.entries(places)) {
      await page.locator('main h1').waitFor();
      await page.keyboard.press('g');
      await page.keyboard.press(key);
      await page.waitForURL(new RegExp(`/dashboard/${place}`));
    }
    await page.locator('main h1').waitFor();
    await page.keyboard.press('?');
    await page.getByRole('heading', { name: 'Keyboard shortcuts' }).waitFor();
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+k');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.type('queues');
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/dashboard\/queues/);
    await page.goto(`${it.server.url}/dashboard/jobs`);
    await page.getByRole('combobox').first().click();
    await page.keyboard.type('gj?');
    assert.equal(await page.getByRole('combobox').first().inputValue(), 'gj?');
  }));

test('keys: the theme is kept, and set before the page is drawn', () =>
  it.visit('/dashboard/overview', async (page) => {
    await page.getByRole('button', { name: 'Control centre' }).click();
    await page.getByRole('button', { name: 'Dark' }).click();
    await page.waitForFunction(() => document.documentElement.dataset.theme === 'dark');
    const html = await (await page.request.get(`${it.server.url}/dashboard/overview`)).text();
    assert.match(html, /data-theme="dark"/);
  }));

test('addresses: / and /dashboard lead to the overview', () =>
  it.visit('/', async (page) => {
    await page.waitForURL(/\/dashboard\/overview$/);
  }));
