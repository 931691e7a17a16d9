// Chromium with a guard on every page: what a page says on its console, whom it calls, and what its
// documents carry is remembered, and a test that does not expect it fails.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { ROOT } from './server.mjs';

const require = createRequire(path.join(ROOT, 'build/clients/dashboard/package.json'));
const { chromium } = require('playwright-core');
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

export const SHOTS = path.join(ROOT, 'build/dashboard');
mkdirSync(SHOTS, { recursive: true });

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--hide-scrollbars'];

// Pages that were built after the binary: its own document lends them its headers and what it filled in.
const WEB = process.env.JOBMILL_WEB && path.resolve(process.env.JOBMILL_WEB);

const TYPES = { '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

async function fromFolder(route) {
  const { pathname } = new URL(route.request().url());
  const file = path.join(WEB, pathname.replace(/^.*\/dashboard\//, ''));
  if (pathname.includes('/assets/') && existsSync(file)) return route.fulfill({ path: file, headers: { 'Content-Type': TYPES[path.extname(file)] } });
  const response = await route.fetch({ maxRedirects: 0 });
  const { location } = response.headers(); // what a redirect leads to would not come by here
  if (location) return route.fulfill({ contentType: 'text/html', headers: { Refresh: `0; url=${location}` }, body: '' });
  if (!(response.headers()['content-type'] ?? '').includes('text/html')) return route.fulfill({ response });
  const html = await response.text();
  const filled = (pattern) => pattern.exec(html)?.[1] ?? '';
  const body = readFileSync(path.join(WEB, 'index.html'), 'utf8')
    .replaceAll('__BASE__', filled(/name="base" content="([^"]*)"/))
    .replaceAll('__CSRF__', filled(/name="csrf" content="([^"]*)"/))
    .replaceAll('__THEME__', filled(/data-theme="([^"]*)"/));
  return route.fulfill({ response, body });
}


export class Browser {
  static async start() {
    const browser = new Browser();
    browser.profile = mkdtempSync(path.join(os.tmpdir(), 'jobmill-chromium-'));
    browser.chromium = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: FLAGS, env: { ...process.env, HOME: browser.profile, XDG_CONFIG_HOME: browser.profile } });
    return browser;
  }

  // A window without cookies. `user` is "name:password", sent as a browser does after it was asked.
  async open(server, { user, theme = 'light', width = 1440, height = 900, expect = [], live = true } = {}) {
    const [username, password] = (user ?? '').split(':');
    const context = await this.chromium.newContext({
      viewport: { width, height }, colorScheme: theme, locale: 'en-GB', timezoneId: 'Europe/Brussels', reducedMotion: 'reduce',
      ...(user ? { httpCredentials: { username, password } } : {}),
    });
    context.setDefaultTimeout(90_000); // of a busy machine
    if (!live) await context.route('**/sse/**', (route) => route.abort());
    if (WEB) await context.route(/\/dashboard(\/|$|\?)/, fromFolder);
    const page = await context.newPage();
    return new Visit(server, context, page, expect);
  }

  async close() {
    await this.chromium.close();
    rmSync(this.profile, { recursive: true, force: true });
  }
}

export class Visit {
  constructor(server, context, page, expected) {
    Object.assign(this, { server, context, page, expected, problems: [] });
    page.on('console', (message) => ['error', 'warning'].includes(message.type()) && this.complain(`console: ${message.text()} ${message.location()?.url ?? ''}`));
    page.on('pageerror', (error) => this.complain(`uncaught: ${error.stack ?? error}`));
    page.on('request', (request) => this.checkHost(request.url()));
    page.on('dialog', (dialog) => (this.complain(`dialog: ${dialog.message()}`), dialog.dismiss()));
    page.on('response', (response) => this.checkDocument(response));
  }

  complain(text) {
    if (!this.expected.some((pattern) => pattern.test(text))) this.problems.push(text);
  }

  checkHost(url) {
    const { protocol, origin } = new URL(url);
    if (protocol.startsWith('http') && origin !== this.server.url) this.complain(`a request to ${origin}`);
  }

  async checkDocument(response) {
    if (!(response.headers()['content-type'] ?? '').includes('text/html')) return;
    const text = await response.text().catch(() => ''); // a redirect has none
    for (const found of inlineCode(text)) this.complain(`inline code in ${response.url()}: ${found}`);
  }

  async go(target, { settle = true } = {}) {
    await this.page.goto(this.server.url + target, { waitUntil: 'domcontentloaded' });
    if (settle) await this.settled();
  }

  // A page that waits for an answer shows grey lines in its place.
  async settled() {
    await this.page.waitForSelector('main h1', { state: 'visible' });
    await this.page.waitForFunction(() => !document.querySelector('main .skeleton'));
  }

  async shot(name) {
    await this.page.screenshot({ path: path.join(SHOTS, `${name}.png`), fullPage: true });
  }

  async accessible() {
    // Not as a script element: the page's own policy would refuse it.
    await this.page.evaluate(AXE);
    const { violations } = await this.page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
    const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    assert.deepEqual(serious.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.target.join(' ')} ${node.any[0]?.message ?? ''}`).join(' | ')}`), []);
  }

  // A page as wide as its window: only boxes made for it scroll sideways. What follows its size does
  // so a frame later.
  async fits(what) {
    const fit = this.page.waitForFunction(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth + 1, undefined, { timeout: 60_000 });
    await fit.catch(async () => assert.fail(`${what} is wider than its window: ${await this.page.evaluate(widest)}`));
  }

  async close() {
    await this.context.close();
    assert.deepEqual(this.problems, [], `the browser complained`);
  }
}

function widest() {
  const limit = document.documentElement.clientWidth;
  const scrolls = (node) => node && node !== document.body && (/auto|scroll|hidden/.test(getComputedStyle(node).overflowX) || scrolls(node.parentElement));
  const out = [...document.body.querySelectorAll('*')].filter((node) => node.getBoundingClientRect().right > limit + 1 && !scrolls(node.parentElement));
  return out.slice(0, 4).map((node) => `${node.tagName.toLowerCase()}.${node.getAttribute('class') ?? ''}`).join(', ');
}

export function inlineCode(html) {
  const found = [];
  if (/<script(?![^>]*\ssrc=)[^>]*>/i.test(html)) found.push('a script without src');
  if (/<style[\s>]/i.test(html)) found.push('a style element');
  if (/<[a-z][^>]*\sstyle\s*=/i.test(html)) found.push('a style attribute');
  if (/<[a-z][^>]*\son[a-z]+\s*=/i.test(html)) found.push('an event attribute');
  if (/(href|src)\s*=\s*["']?\s*javascript:/i.test(html)) found.push('a javascript: link');
  return found;
}
