#!/usr/bin/env node
// The dashboard from the outside: the shipped binary, with data of every kind, in the distribution's
// Chromium. Screenshots of all pages are left in build/dashboard.
//
//   run.mjs [TEXT…]     only the files whose names contain one of the texts
//
// JOBMILL_BIN is the folder of the binaries (build/release/bin), CHROMIUM the browser, JOBMILL_WEB a folder
// like web/dist whose pages are shown in place of those in the binary.
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { run } from 'node:test';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);
const AT_ONCE = 2; // a browser each
const LONGEST = ['walkthrough', 'pages']; // the very longest last
const LIMIT_MS = 1_200_000; // of a file that hangs

function files() {
  const all = readdirSync(here).filter((name) => name.endsWith('.test.mjs'));
  // The longest first, so that none of them runs alone in the end.
  const rank = (name) => LONGEST.findIndex((one) => name.startsWith(one));
  all.sort((a, b) => rank(b) - rank(a));
  return all.filter((name) => wanted.length === 0 || wanted.some((text) => name.includes(text))).map((name) => path.join(here, name));
}

function problem(error) {
  const cause = error?.cause ?? error;
  return String(cause?.stack ?? cause?.message ?? cause).replace(/^/gm, '    ');
}

execFileSync(path.join(here, 'setup.sh'), { stdio: 'inherit' });

const started = Date.now();
const counts = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

// A file reports itself as a test around its tests; only the latter are counted, unless it broke as a whole.
const isFile = (data) => data.name.endsWith('.test.mjs');

const stream = run({ files: files(), concurrency: AT_ONCE, timeout: LIMIT_MS });
stream.on('test:pass', (data) => {
  if (isFile(data)) return;
  if (data.skip !== undefined || data.todo !== undefined) counts.skipped++;
  else counts.passed++;
  console.log(`ok ${data.name} (${seconds(data.details.duration_ms)})`);
});
stream.on('test:fail', (data) => {
  if (isFile(data) && data.details.error?.failureType === 'subtestsFailed') return;
  counts.failed++;
  failures.push(data.name);
  console.log(`FAILED ${data.name} (${seconds(data.details.duration_ms)})\n${problem(data.details.error)}`);
});
stream.on('test:stderr', (data) => process.stderr.write(data.message));
stream.on('test:stdout', (data) => process.stdout.write(data.message));
stream.on('end', () => {
  const all = counts.passed + counts.failed + counts.skipped;
  for (const name of failures) console.log(`failed: ${name}`);
  console.log(`${all} tests of the dashboard, ${counts.failed} failed, ${counts.skipped} skipped, ${seconds(Date.now() - started)}`);
  process.exit(all > 0 && counts.failed === 0 && counts.skipped === 0 ? 0 : 1);
});
stream.resume();
