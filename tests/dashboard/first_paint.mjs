#!/usr/bin/env node
// How long a browser that has never been here takes to draw the list of jobs, over loopback: until
// something is seen, until the list can be used, and how much was loaded for it.
//
//   first_paint.mjs [ROUNDS]     20 without it; JOBMILL_BIN and CHROMIUM as for run.mjs
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

execFileSync(path.join(path.dirname(fileURLToPath(import.meta.url)), 'setup.sh'), { stdio: 'inherit' });
const { Browser } = await import('./lib/browser.mjs');
const { Server } = await import('./lib/server.mjs');

const ROUNDS = Number(process.argv[2] ?? 20);
const JOBS = 1000;

// Runs in the page before anything else does.
function noteFirstRow() {
  const observer = new MutationObserver(() => {
    if (!document.querySelector('.jobs-list tbody tr a')) return;
    globalThis.firstRowAt = performance.now();
    observer.disconnect();
  });
  observer.observe(document, { childList: true, subtree: true });
}

async function measure(browser, server) {
  const visit = await browser.open(server);
  const { page } = visit;
  await page.addInitScript(noteFirstRow);
  await page.goto(`${server.url}/dashboard/jobs?state=ENQUEUED`);
  await page.waitForFunction(() => globalThis.firstRowAt && performance.getEntriesByName('first-contentful-paint').length > 0);
  const found = await page.evaluate(() => ({
    paint: performance.getEntriesByName('first-contentful-paint')[0].startTime,
    list: globalThis.firstRowAt,
    loaded: [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
      .filter(({ name }) => name.includes('/dashboard/')).reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0),
  }));
  await visit.close();
  return found;
}

function row(name, values, unit, digits) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))].toFixed(digits);
  console.log(`${name.padEnd(28)} ${at(0.5).padStart(8)} ${at(0.95).padStart(8)} ${at(1).padStart(8)} ${unit}`);
}

const server = await Server.start();
const browser = await Browser.start();
try {
  await server.post('/v1/jobs', { kind: 'bench.row', queue: 'bench', count: JOBS, name: 'a job of the bench' });
  await measure(browser, server); // the browser's own start is not ours
  const rounds = [];
  for (let n = 0; n < ROUNDS; n++) rounds.push(await measure(browser, server));
  console.log(`${'list of jobs, cold'.padEnd(28)} ${'median'.padStart(8)} ${'p95'.padStart(8)} ${'most'.padStart(8)}`);
  row('first contentful paint', rounds.map(({ paint }) => paint), 'ms', 0);
  row('usable list', rounds.map(({ list }) => list), 'ms', 0);
  row('loaded, compressed', rounds.map(({ loaded }) => loaded / 1024), 'KiB', 1);
} finally {
  await browser.close();
  await server.close();
}
