// The shipped server as a child process, with a data folder of its own that goes with it.
import { spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, closeSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
export const BIN = path.resolve(process.env.JOBMILL_BIN ?? path.join(ROOT, 'build/release/bin'));

// What a child gets unless a test says otherwise: nothing of ours.
const CLEAN = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('JOBMILL_') && name !== 'DATABASE_URL'));

const running = new Set();
process.on('SIGTERM', () => process.exit(1)); // of a file that took too long
process.on('exit', () => running.forEach((child) => kill(child.pid, 'SIGKILL')));

function kill(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

const isFree = (port) =>
  new Promise((resolve) => {
    const probe = net.createServer();
    probe.on('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });

// One that can be taken again: the system gives none of these to whoever asks for any.
export async function freePort() {
  for (;;) {
    const port = 22_000 + Math.floor(Math.random() * 10_000);
    if (await isFree(port)) return port;
  }
}

// Waits for an event that nobody announces; fails when it does not come.
export async function until(check, what = 'it', seconds = 120) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what} did not happen within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export class Program {
  static async start(words, { env = {}, folder, ready } = {}) {
    const program = new Program();
    program.folder = mkdtempSync(path.join(os.tmpdir(), 'jobmill-dashboard-'));
    program.logFile = path.join(program.folder, 'log');
    const log = openSync(program.logFile, 'w');
    program.child = spawn(words[0], words.slice(1).map(String), { env: { ...CLEAN, ...env }, cwd: folder ?? program.folder, stdio: ['ignore', 'pipe', log] });
    closeSync(log);
    running.add(program.child);
    program.ended = new Promise((resolve) => program.child.once('exit', (code) => (running.delete(program.child), resolve(code))));
    program.child.stdout.setEncoding('utf8');
    program.line = ready ? await program.firstLine(ready) : (program.child.stdout.resume(), '');
    return program;
  }

  async firstLine(wanted) {
    const lines = readline.createInterface({ input: this.child.stdout });
    const line = await Promise.race([new Promise((resolve) => lines.once('line', resolve)), this.ended.then(() => '')]);
    if (!line.includes(wanted)) throw new Error(`it did not start: ${line}${this.log()}`);
    return line;
  }

  log() {
    return readFileSync(this.logFile, 'utf8');
  }

  async stop(signal = 'SIGTERM') {
    kill(this.child.pid, signal);
    const patience = setTimeout(() => kill(this.child.pid, 'SIGKILL'), 60_000);
    await this.ended;
    clearTimeout(patience);
  }

  async close() {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const LISTENERS = ['amqp', 'amqps', 'admin', 'admin-http', 'identity'];

export class Server {
  // `config` is the text of a configuration file; `broker` whether it listens for Service Bus clients;
  // `flags` a list, or what makes one of the server's address.
  static async start({ flags = [], config, broker = false, env } = {}) {
    const server = new Server();
    server.data = mkdtempSync(path.join(os.tmpdir(), 'jobmill-dashboard-data-'));
    server.port = await freePort();
    if (typeof flags === 'function') flags = flags(`127.0.0.1:${server.port}`);
    const listeners = LISTENERS.flatMap((name) => [`--${name}`, broker ? '127.0.0.1:0' : 'off']);
    if (config) {
      writeFileSync(path.join(server.data, 'jobmill.yaml'), config);
      flags = [...flags, '--config', path.join(server.data, 'jobmill.yaml')];
    }
    server.words = [path.join(BIN, 'jobmill'), broker ? 'dev' : 'serve', '--data', path.join(server.data, 'store'), '--http', `127.0.0.1:${server.port}`, ...listeners, '--grace', '2s', ...flags];
    server.env = env;
    await server.run();
    return server;
  }

  async run() {
    this.program = await Program.start(this.words, { env: this.env, ready: 'ready' });
    this.url = `http://127.0.0.1:${this.port}`;
  }

  // As the kernel does when memory is short: no last words. run() brings it back at the same address.
  kill() {
    return this.program.stop('SIGKILL');
  }

  async close() {
    await this.program.close();
    rmSync(this.data, { recursive: true, force: true });
  }

  async call(method, target, body, { user, headers = {}, expect } = {}) {
    const json = body !== undefined && typeof body !== 'string';
    const answer = await fetch(this.url + target, {
      method,
      body: json ? JSON.stringify(body) : body,
      redirect: 'manual',
      headers: {
        ...(body === undefined ? {} : { 'Content-Type': json ? 'application/json' : 'application/yaml' }),
        ...(user ? { Authorization: `Basic ${Buffer.from(user).toString('base64')}` } : {}),
        ...headers,
      },
    });
    const text = await answer.text();
    const wanted = expect ?? (answer.status < 300 ? answer.status : undefined);
    if (answer.status !== wanted) throw new Error(`${method} ${target}: ${answer.status} ${text.slice(0, 500)}`);
    return (answer.headers.get('content-type') ?? '').includes('json') && text ? JSON.parse(text) : text;
  }

  get(target, more) {
    return this.call('GET', target, undefined, more);
  }

  post(target, body, more) {
    return this.call('POST', target, body, more);
  }
}
