// Who may see and do what, and what the server lets no page do.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { inlineCode } from './lib/browser.mjs';
import { EXAMPLE_IMAGE, fillJobs, fillMessages, fillRecurring, fillScaling, NAMESPACE } from './lib/fill.mjs';
import { button, stage } from './lib/stage.mjs';

const ADMIN = 'ada:secret-of-ada', OPERATOR = 'oda:secret-of-oda', VIEWER = 'vera:secret-of-vera';
const config = `users:
${[[ADMIN, 'admin'], [OPERATOR, 'operator'], [VIEWER, 'viewer']].map(([user, role]) => `- {name: ${user.split(':')[0]}, password: ${user.split(':')[1]}, role: ${role}}`).join('\n')}
`;

const it = stage({ config, broker: true, flags: EXAMPLE_IMAGE }, async (server) => {
  const plain = server.call.bind(server);
  server.call = (method, path, body, more = {}) => plain(method, path, body, { user: ADMIN, ...more });
  const ids = await fillJobs(server);
  await fillRecurring(server);
  await fillMessages(server);
  await fillScaling(server);
  return ids;
});

// Without the headers by which browsers, and fetch here too, tell that they are one.
const asProgram = (url) => new Promise((resolve, reject) => http.get(url, (answer) => resolve(answer.resume())).on('error', reject));

const PLACES = () => ['/jobs?state=FAILED', `/jobs/${it.ids.failed[0]}`, '/failures', '/queues', '/queues/bulk', '/recurring-jobs', '/recurring-jobs/nightly', '/servers', `/servers/${it.ids.worker}`, '/busy',
  '/autoscaling/encoder-scaling', '/executions', '/executions/jobs', '/messages', `/messages/${NAMESPACE}/incoming`, `/messages/${NAMESPACE}/mail/dead-letter`, '/settings'];

const MUTATIONS = /^(Requeue|Delete|Cancel|Enqueue|Pause|Pause…|Resume|Purge|Purge…|Run now|Edit…?|Create|Quiet|Drain|Send…|Disable|Enable|Redrive…|Set once…|Start now…|Run again|Stop|Create a token|Revoke|Reschedule|Clone.*)$/;

test('access: whoever comes without credentials is asked for them', async () => {
  for (const path of ['/dashboard', '/dashboard/overview', '/api/jobs']) {
    const answer = await asProgram(it.server.url + path);
    assert.equal(answer.statusCode, 401, path);
    assert.match(answer.headers['www-authenticate'] ?? '', /^Basic realm="jobmill"/);
  }
});

test('access: people sign out, and in again on a page', () =>
  it.visit('/dashboard/overview', async (page) => {
    await page.getByRole('button', { name: /oda/ }).click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('User').fill('oda');
    await page.getByLabel('Password').fill('wrong');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('User or password is wrong').waitFor();
    await page.getByLabel('Password').fill('secret-of-oda');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
  }, { user: OPERATOR, expect: [/401/] }));

test('access: a viewer sees every page and no control that changes anything', () =>
  it.visit('/dashboard/overview', async (page, visit) => {
    for (const place of PLACES()) {
      await visit.go(`/dashboard${place}`);
      const names = await page.locator('main').getByRole('button').evaluateAll((found) => found.map((one) => one.getAttribute('aria-label') ?? one.textContent.trim()));
      assert.deepEqual(names.filter((name) => MUTATIONS.test(name)), [], place);
      const menus = page.locator('main').getByRole('button', { name: 'More actions' });
      if ((await menus.count()) === 0) continue;
      await menus.first().click();
      assert.deepEqual((await page.getByRole('menuitem').allTextContents()).filter((name) => MUTATIONS.test(name)), [], place);
    }
  }, { user: VIEWER }));

test('access: an operator works, and does not administer', () =>
  it.visit(`/dashboard/jobs/${it.ids.failed[1]}`, async (page, visit) => {
    await button(page, 'Requeue').waitFor();
    await visit.go('/dashboard/autoscaling/encoder-scaling');
    await button(page, 'Pause…').waitFor();
    await visit.go(`/dashboard/messages/${NAMESPACE}/incoming`);
    await button(page, 'Send…').waitFor();
    assert.equal(await button(page, 'Purge…').count(), 0);
  }, { user: OPERATOR }));

test('access: a viewer is refused every mutation', async () => {
  const { failed } = it.ids;
  const refused = [
    ['POST', `/v1/jobs/${failed[0]}/requeue`, {}], ['DELETE', `/v1/jobs/${failed[0]}`], ['POST', `/api/jobs/${failed[0]}/requeue`, {}], ['DELETE', `/api/jobs/${failed[0]}`],
    ['POST', '/api/jobs/bulk', { action: 'requeue', ids: failed }], ['POST', '/api/recurring-jobs/nightly/trigger', {}], ['DELETE', '/api/recurring-jobs/nightly'],
    ['POST', '/api/recurring-jobs/nightly/pause', {}], ['POST', '/api/queues/bulk/pause', {}], ['POST', '/api/queues/bulk/purge', {}], ['POST', `/api/servers/${it.ids.worker}/quiet`, {}],
    ['POST', '/api/autoscaling/encoder-scaling/pause', {}], ['POST', '/api/autoscaling/encoder-scaling/set', { replicas: 1 }], ['POST', `/api/messages/${NAMESPACE}/incoming/send`, { message: { body: 'x' } }],
    ['POST', `/api/messages/${NAMESPACE}/incoming/purge`, {}], ['POST', `/api/messages/${NAMESPACE}/mail/redrive`, {}], ['POST', '/api/tokens', { name: 'x', scopes: ['read'] }], ['POST', '/v1/jobs', { kind: 'x' }],
  ];
  for (const [method, path, body] of refused) await it.server.call(method, path, body, { user: VIEWER, expect: 403 });
});

test('access: a cookie alone changes nothing: the token of the session and the same origin are needed', async () => {
  const login = await fetch(`${it.server.url}/api/login`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ user: 'ada', password: 'secret-of-ada' }) });
  assert.equal(login.status, 200);
  const { csrf } = await login.json();
  const [cookie] = login.headers.getSetCookie();
  assert.match(cookie, /HttpOnly/);
  assert.match(cookie, /SameSite=Strict/);
  const pause = (headers) => fetch(`${it.server.url}/api/queues/reports/pause`, { method: 'POST', headers: { Cookie: cookie.split(';')[0], 'Content-Type': 'application/json', ...headers }, body: '{}' });
  assert.equal((await pause({})).status, 403);
  assert.equal((await pause({ 'X-Jobmill-CSRF': 'wrong' })).status, 403);
  assert.equal((await pause({ 'X-Jobmill-CSRF': csrf, Origin: 'http://evil.example' })).status, 403);
  assert.equal((await pause({ 'X-Jobmill-CSRF': csrf, Origin: it.server.url })).status, 204);
});

test('access: a token is shown once, works within its scopes, and is revoked', () =>
  it.visit('/dashboard/settings?tab=tokens', async (page) => {
    await button(page, 'Create a token').first().click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Name').fill('scraper');
    const read = dialog.getByLabel(/^Read/);
    if (!(await read.isChecked())) await read.check();
    await dialog.getByRole('button', { name: /Create/ }).click();
    const token = (await dialog.locator('code').first().textContent()).trim();
    await page.keyboard.press('Escape');
    const bearer = (method, path, body) => fetch(`${it.server.url}${path}`, { method, headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }, body });
    assert.equal((await bearer('GET', '/api/jobs')).status, 200);
    assert.equal((await bearer('POST', '/api/queues/bulk/pause', '{}')).status, 403);
    await page.reload();
    assert.ok(!(await page.content()).includes(token));
    await page.locator('tr', { hasText: 'scraper' }).getByRole('button', { name: 'Revoke' }).click();
    await dialog.getByRole('button', { name: 'Revoke' }).click();
    await page.locator('tr', { hasText: 'scraper' }).waitFor({ state: 'detached' });
    assert.equal((await bearer('GET', '/api/jobs')).status, 401);
  }, { user: ADMIN }));

test('access: what was done is in the audit log, with who did it', () =>
  it.visit('/dashboard/audit', async (page) => {
    await page.locator('tbody tr', { hasText: 'ada' }).first().waitFor();
  }, { user: ADMIN }));

test('access: documents carry a strict policy and nothing inline', async () => {
  const answer = await fetch(`${it.server.url}/dashboard/overview`, { headers: { Authorization: `Basic ${Buffer.from(ADMIN).toString('base64')}` } });
  const html = await answer.text();
  assert.deepEqual(inlineCode(html), []);
  const policy = answer.headers.get('content-security-policy') ?? '';
  for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"]) assert.ok(policy.includes(part), `${part} is missing in ${policy}`);
  assert.ok(!/unsafe/.test(policy));
  assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
  assert.equal(answer.headers.get('referrer-policy'), 'no-referrer');
  const assets = [...html.matchAll(/(?:src|href)="([^"]+\.(?:js|css))"/g)].map(([, path]) => path);
  assert.ok(assets.length >= 2);
  for (const path of assets) {
    const asset = await fetch(it.server.url + path, { headers: { Authorization: `Basic ${Buffer.from(ADMIN).toString('base64')}` } });
    assert.match(asset.headers.get('cache-control') ?? '', /immutable/, path);
  }
});
