// What the programs of this folder share: the libraries (installed outside the source tree), checks, and a
// runner that prints one line per case.
import { createRequire } from "node:module";
import { isDeepStrictEqual } from "node:util";

const require = createRequire(process.env.SERVICEBUS_LIBRARIES + "/");
export const { ServiceBusClient, ServiceBusAdministrationClient, isServiceBusError, delay } = require("@azure/service-bus");
export const Long = require("long");
const version = require("@azure/service-bus/package.json").version;
const WebSocket = require("ws");

export function connect(variable = "SERVICEBUS", retryOptions = {}) {
  const websocket = process.env.SERVICEBUS_TRANSPORT === "websocket";
  return new ServiceBusClient(process.env[variable], {
    retryOptions,
    customEndpointAddress: process.env.SERVICEBUS_ENDPOINT, // this client ignores the port of a connection string
    ...(websocket && { webSocketOptions: { webSocket: WebSocket } }),
  });
}

export function same(wanted, got, what = "value") {
  if (!isDeepStrictEqual(wanted, got)) throw new Error(`${what}: wanted ${show(wanted)}, got ${show(got)}`);
}
export function check(truth, what) {
  if (!truth) throw new Error(what);
}
const show = (value) => JSON.stringify(value, (_, part) => (typeof part === "bigint" ? `${part}n` : part));

// The code counts: applications choose what to do by it.
export async function raises(code, action) {
  try {
    await action();
  } catch (error) {
    if (isServiceBusError(error) && error.code === code) return;
    throw new Error(`wanted ${code}, got ${error.code ?? error.name}: ${error.message}`, { cause: error });
  }
  throw new Error(`no ${code}`);
}

const DEADLINE = 400_000; // for one case: a client that hangs is a failure like any other

export async function run(title, cases, { atOnce }) {
  const wanted = new Set(process.argv.slice(2).map(kebab));
  const chosen = Object.entries(cases).filter(([name]) => wanted.size === 0 || wanted.has(kebab(name)));
  const waiting = [...chosen];
  let failed = 0;
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [name, start] = [kebab(next[0]), Date.now()];
      const problem = await outcome(next[1], name);
      if (problem) failed += 1;
      console.log(problem ? `FAILED ${name}: ${problem}` : `ok ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  console.log(`@azure/service-bus ${version} ${title}: ${chosen.length} cases, ${failed} failed`);
  process.exit(failed || chosen.length === 0 ? 1 : 0);
}

async function outcome(action, name) {
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(() => resolve(`not done after ${DEADLINE / 1000} s`), DEADLINE);
  });
  const done = action(name).then(
    () => "",
    (error) => `${/(\w+\.mjs:\d+)/.exec(error.stack?.split("\n").slice(1).find((line) => !line.includes("cases.mjs")) ?? "")?.[1] ?? ""} ${error.message}`.trim(),
  );
  const problem = await Promise.race([done, late]);
  clearTimeout(timer);
  return problem;
}

const kebab = (name) => name.replaceAll("_", "-").replace(/[A-Z]/g, (letter) => "-" + letter.toLowerCase());
