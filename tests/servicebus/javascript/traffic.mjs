// Ordinary code with the library's ordinary retries, while the server restarts under it.
//
//     node traffic.mjs QUEUE COUNT      prints "sent N" and "received N" as it goes
import { connect, delay } from "./cases.mjs";

const [queue, count] = [process.argv[2], Number(process.argv[3])];
const client = connect("SERVICEBUS", { retryDelayInMs: 300 }); // the default first wait of 30 s is only long

// Two failures of connecting that this library leaves to the application: nobody listens, and a call at the very
// moment when the server closes, where the end of the old socket is taken for a failure of the new one.
async function again(action) {
  for (const end = Date.now() + 60_000; ; await delay(100)) {
    try {
      return await action();
    } catch (error) {
      const known = error.syscall === "connect" || error.message.endsWith("Failed to connect");
      if (!known || Date.now() > end) throw error;
    }
  }
}

const sender = client.createSender(queue);
for (let number = 0; number < count; ++number) {
  await again(() => sender.sendMessages({ body: number }));
  console.log("sent", number + 1);
  await delay(5);
}
const receiver = client.createReceiver(queue);
for (const seen = new Set(); seen.size < count; await delay(50)) {
  for (const message of await again(() => receiver.receiveMessages(10, { maxWaitTimeInMs: 5000 }))) {
    seen.add(message.body);
    await receiver.completeMessage(message).catch(() => {}); // a lock that the restart ended: the message comes again
  }
  console.log("received", seen.size);
}
await client.close();
