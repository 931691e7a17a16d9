// A server with data and a browser for all tests of a file. `stage.visit` opens a page, does
// something there, and fails when the browser complained meanwhile.
import { after, before } from 'node:test';
import { Browser } from './browser.mjs';
import { Server } from './server.mjs';

export function stage(options, fill = async () => ({})) {
  const it = {
    async visit(target, act, window = {}) {
      const visit = await it.browser.open(it.server, window);
      try {
        await visit.go(target, { settle: window.settle ?? true });
        await act(visit.page, visit);
      } catch (error) {
        await visit.shot(`failed-${target.replace(/\W+/g, '_').slice(0, 60)}`).catch(() => {}); // the page may be gone
        if (visit.problems.length > 0) error.message += `\nand the browser complained: ${visit.problems.join('\n')}`;
        await visit.context.close();
        throw error;
      }
      await visit.close();
    },
  };
  before(async () => {
    it.server = await Server.start(options);
    it.browser = await Browser.start();
    it.ids = await fill(it.server);
  }, { timeout: 240_000 });
  after(async () => {
    await it.browser?.close();
    await it.server?.close();
  });
  return it;
}

// What a toast says; it waits for one.
export async function says(page, pattern) {
  await page.locator('.toast').filter({ hasText: pattern }).first().waitFor();
}

export const button = (page, name) => page.getByRole('button', { name, exact: typeof name === 'string' });
