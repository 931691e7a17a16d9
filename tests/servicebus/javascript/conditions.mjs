// What an application sees of the conditions of a server.
//
//     node conditions.mjs NAME…      for each queue name of condition_server: "NAME OUTCOME"
import { connect } from "./cases.mjs";

const USES = {
  settle: async (client, name) => {
    const receiver = client.createReceiver(name);
    const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 20_000 });
    await receiver.completeMessage(message);
  },
  request: (client, name) => client.createReceiver(name).peekMessages(1),
};
const send = (client, name) => client.createSender(name).sendMessages({ body: "m" });

async function outcome(name) {
  const way = name.split("--")[0];
  // What ends once is to be survived; of the rest the first refusal counts.
  const once = ["detach", "close"].includes(way);
  const client = connect("SERVICEBUS", { maxRetries: once ? 3 : 0, retryDelayInMs: 100, timeoutInMs: 20_000 });
  try {
    await (USES[way] ?? send)(client, name);
    return "ok";
  } catch (error) {
    return `${error.code}${error.retryable ? "+" : ""}`;
  } finally {
    await client.close();
  }
}

await Promise.all(process.argv.slice(2).map(async (name) => console.log(name, await outcome(name))));
process.exit();
