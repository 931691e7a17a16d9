// Every message operation of @azure/service-bus against the server that the environment names.
//
//     node suite.mjs [CASE…]      one line per case, then a summary; the exit code says whether all passed
//
// Each case has a queue of its own name, so they run side by side.
import { Long, check, connect, delay, raises, run, same } from "./cases.mjs";

// The time a receive waits for what must not come, what must come, and the queues' short lock.
const [QUIET, LONG, LOCK] = [1000, 60_000, 10_000];
const ONCE = { maxRetries: 0, timeoutInMs: 60_000 };

async function using(client, action) {
  try {
    return await action(client);
  } finally {
    await client.close();
  }
}
const text = (message) => Buffer.from(message.body).toString();
const texts = (count, start = 0) => Array.from({ length: count }, (_, index) => ({ body: Buffer.from(`m${start + index}`) }));
const names = (count) => texts(count).map(text);
const send = (client, queue, messages) => using(client.createSender(queue), (sender) => sender.sendMessages(messages));
const receiving = (client, queue, options, action) => using(client.createReceiver(queue, options), action);

async function take(receiver, count) {
  const messages = [];
  for (const end = Date.now() + LONG; messages.length < count && Date.now() < end; ) {
    messages.push(...(await receiver.receiveMessages(count - messages.length, { maxWaitTimeInMs: 2000 })));
  }
  same(count, messages.length, "messages received");
  return messages;
}
const one = async (receiver) => (await take(receiver, 1))[0];
async function nothingLeft(receiver) {
  same([], (await receiver.receiveMessages(10, { maxWaitTimeInMs: QUIET })).map(text), "messages left");
}
async function complete(receiver, messages) {
  for (const message of messages) await receiver.completeMessage(message);
}
const inSession = (sessionId, ...bodies) => bodies.map((body) => ({ body: Buffer.from(body), sessionId }));
const NO_RENEWAL = { maxAutoLockRenewalDurationInMs: 0 };
const DEAD = { subQueueType: "deadLetter" };

// --- sending and receiving ---------------------------------------------------------------------
async function sendOne(client, queue) {
  const sent = {
    body: Buffer.from([0, 1, 255]), contentType: "application/octet-stream", correlationId: "c1", subject: "s1", to: "t1", replyTo: "r1",
    messageId: "id-1", timeToLive: 300_000, applicationProperties: { text: "ü", int: 7, double: 1.5, bool: true, at: new Date(1000) },
  };
  const before = Date.now() - 2000;
  await send(client, queue, sent);
  await receiving(client, queue, {}, async (receiver) => {
    const got = await one(receiver);
    check(Buffer.from(got.body).equals(sent.body), "body");
    for (const name of ["contentType", "correlationId", "subject", "to", "replyTo", "messageId", "timeToLive"]) {
      same(sent[name], got[name], name);
    }
    same({ ...sent.applicationProperties, at: 1000 }, got.applicationProperties, "properties"); // this client makes dates numbers
    same(0, got.deliveryCount, "delivery count");
    check(got.sequenceNumber.greaterThan(0), "a sequence number");
    check(/^[0-9a-f-]{36}$/.test(got.lockToken), `a lock token: ${got.lockToken}`);
    check(got.enqueuedTimeUtc.getTime() > before && got.lockedUntilUtc > got.enqueuedTimeUtc, "times");
    same("active", got.state, "state");
    await receiver.completeMessage(got);
    await nothingLeft(receiver);
  });
}

async function bodies(client, queue) {
  const sent = ["text", 42, { deep: [1, null, "x"] }, [1, 2], null, true];
  await send(client, queue, sent.map((body) => ({ body })));
  await receiving(client, queue, {}, async (receiver) => {
    const got = await take(receiver, sent.length);
    same(sent, got.map((message) => message.body), "bodies");
    await complete(receiver, got);
  });
}

// A body that is no data section: the AMQP value and sequence kinds come back as they went.
async function amqpBodies(client, queue) {
  await send(client, queue, [{ bodyType: "value", body: "a value" }, { bodyType: "sequence", body: [1, "two"] }]);
  await receiving(client, queue, {}, async (receiver) => {
    const got = await take(receiver, 2);
    same([["value", "a value"], ["sequence", [1, "two"]]],
      got.map((message) => [message._rawAmqpMessage.bodyType, message.body]), "bodies");
    await complete(receiver, got);
  });
}

async function sendList(client, queue) {
  await send(client, queue, texts(5));
  await receiving(client, queue, {}, async (receiver) => {
    const got = await take(receiver, 5);
    same(names(5), got.map(text), "order");
    await complete(receiver, got);
    await nothingLeft(receiver);
  });
}

async function batch(client, queue) {
  await using(client.createSender(queue), async (sender) => {
    const many = await sender.createMessageBatch();
    for (const message of texts(100)) check(many.tryAddMessage(message), "room in the batch");
    await sender.sendMessages(many);
    const small = await sender.createMessageBatch({ maxSizeInBytes: 1000 });
    check(!small.tryAddMessage({ body: "x".repeat(2000) }), "no room in a small batch");
  });
  await receiving(client, queue, {}, async (receiver) => {
    const got = await take(receiver, 100);
    same(names(100), got.map(text), "order");
    await complete(receiver, got);
  });
}

async function messageId(client, queue) {
  await send(client, queue, [{ body: "given", messageId: "mine" }, ...texts(2)]);
  await receiving(client, queue, { receiveMode: "receiveAndDelete" }, async (receiver) => {
    const ids = (await take(receiver, 3)).map((message) => message.messageId);
    same("mine", ids[0], "the sender's id");
    check(ids.every(Boolean) && new Set(ids).size === 3, `ids are given to messages without one: ${ids}`);
  });
}

async function large(client, queue) {
  const data = Buffer.alloc(200 * 1024, Uint8Array.from({ length: 256 }, (_, index) => index));
  await send(client, queue, { body: data });
  await send(client, queue, { body: data, applicationProperties: { p: "x".repeat(20_000) } });
  await receiving(client, queue, {}, async (receiver) => {
    for (const got of await take(receiver, 2)) {
      check(Buffer.from(got.body).equals(data), "a large body came back changed");
      await receiver.completeMessage(got);
    }
  });
}

async function tooLarge(_, queue) {
  await using(connect("SERVICEBUS", ONCE), (client) =>
    raises("MessageSizeExceeded", () => send(client, queue, { body: Buffer.alloc(1200 * 1024) })));
}

async function receiveAndDelete(client, queue) {
  await send(client, queue, texts(10));
  await receiving(client, queue, { receiveMode: "receiveAndDelete" }, async (receiver) => {
    const got = await take(receiver, 10);
    same(names(10), got.map(text), "order");
    same(undefined, got[0].lockToken, "lock token");
    await nothingLeft(receiver);
  });
}

async function prefetch(client, queue) {
  for (let start = 0; start < 500; start += 100) await send(client, queue, texts(100, start));
  const seen = [];
  await receiving(client, queue, {}, async (receiver) => {
    while (seen.length < 500) {
      const got = await receiver.receiveMessages(50, { maxWaitTimeInMs: LONG });
      check(got.length > 0, `only ${seen.length} of 500 messages came`);
      await Promise.all(got.map((message) => receiver.completeMessage(message)));
      seen.push(...got.map(text));
    }
    same(names(500).sort(), seen.sort(), "every message once");
    await nothingLeft(receiver);
  });
}

async function subscribe(client, queue) {
  await send(client, queue, texts(50));
  const seen = [];
  await receiving(client, queue, {}, async (receiver) => {
    await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`only ${seen.length} of 51 messages came`)), LONG);
      receiver.subscribe({
        processError: async ({ error }) => reject(error),
        processMessage: async (message) => {
          seen.push(text(message));
          if (seen.length === 50) await send(client, queue, texts(1, 50)); // while it listens
          if (seen.length === 51) clearTimeout(late), resolve();
        },
      }, { maxConcurrentCalls: 5 });
    });
    await delay(200); // the handler's last message is completed after it returns
  });
  same(names(51).sort(), seen.sort(), "every message once");
  await receiving(client, queue, {}, nothingLeft);
}

// A handler that throws gives its message back.
async function subscribeThrows(client, queue) {
  await send(client, queue, texts(1));
  const counts = [];
  await receiving(client, queue, {}, (receiver) => new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`deliveries: ${counts}`)), LONG).unref();
    receiver.subscribe({
      processError: async ({ errorSource, error }) => errorSource === "processMessageCallback" || reject(error),
      processMessage: async (message) => {
        counts.push(message.deliveryCount);
        if (counts.length < 3) throw new Error("not yet");
        setTimeout(resolve, 200);
      },
    });
  }));
  same([0, 1, 2], counts, "delivery counts");
}

async function loop(client, queue) {
  await send(client, queue, texts(10));
  const seen = [];
  await receiving(client, queue, {}, async (receiver) => {
    for await (const message of receiver.getMessageIterator()) {
      seen.push(text(message));
      await receiver.completeMessage(message);
      if (seen.length === 10) break;
    }
  });
  same(names(10), seen, "the loop's messages");
}

// --- settling ----------------------------------------------------------------------------------
async function abandon(client, queue) {
  await send(client, queue, { body: Buffer.from("m0"), applicationProperties: { kept: 1, changed: "old" } });
  await receiving(client, queue, {}, async (receiver) => {
    for (let count = 0; count < 3; ++count) {
      const got = await one(receiver);
      same(count, got.deliveryCount, "delivery count");
      await receiver.abandonMessage(got, { changed: `new ${count}`, added: count });
    }
    const got = await one(receiver);
    same([3, { kept: 1, changed: "new 2", added: 2 }], [got.deliveryCount, got.applicationProperties], "count and properties");
    await receiver.completeMessage(got);
    await nothingLeft(receiver);
  });
}

async function maxDelivery(client, queue) {
  await send(client, queue, texts(1));
  await receiving(client, queue, {}, async (receiver) => {
    for (let count = 0; count < 2; ++count) await receiver.abandonMessage(await one(receiver));
    await nothingLeft(receiver);
  });
  await receiving(client, queue, DEAD, async (dead) => {
    const got = await one(dead);
    same("MaxDeliveryCountExceeded", got.deadLetterReason, "reason");
    await dead.completeMessage(got);
  });
}

async function deadLetter(client, queue) {
  await send(client, queue, { body: Buffer.from("bad"), messageId: "b1", applicationProperties: { kept: 1 } });
  await receiving(client, queue, {}, async (receiver) => {
    await receiver.deadLetterMessage(await one(receiver),
      { deadLetterReason: "poison", deadLetterErrorDescription: "cannot read it", extra: "x" });
    await nothingLeft(receiver);
  });
  await receiving(client, queue, DEAD, async (dead) => {
    const got = await one(dead);
    same(["bad", "b1", "poison", "cannot read it", 1, "x"],
      [text(got), got.messageId, got.deadLetterReason, got.deadLetterErrorDescription, got.applicationProperties.kept,
        got.applicationProperties.extra], "dead letter");
    await dead.completeMessage(got);
    await nothingLeft(dead);
  });
}

async function defer(client, queue) {
  await send(client, queue, texts(2));
  await receiving(client, queue, {}, async (receiver) => {
    const [first, second] = await take(receiver, 2);
    await receiver.deferMessage(first, { why: "later" });
    await receiver.completeMessage(second);
    await nothingLeft(receiver);
    const [peeked] = await receiver.peekMessages(1);
    same("deferred", peeked.state, "state");
    const [got] = await receiver.receiveDeferredMessages(first.sequenceNumber);
    same(["m0", "later"], [text(got), got.applicationProperties.why], "the deferred message");
    await receiver.completeMessage(got);
    await raises("MessageNotFound", () => receiver.receiveDeferredMessages(first.sequenceNumber));
  });
}

async function deferAgain(client, queue) {
  await send(client, queue, texts(1));
  await receiving(client, queue, {}, async (receiver) => {
    const first = await one(receiver);
    await receiver.deferMessage(first);
    const [again] = await receiver.receiveDeferredMessages(first.sequenceNumber);
    await receiver.abandonMessage(again);
    const [got] = await receiver.receiveDeferredMessages(first.sequenceNumber);
    await receiver.deadLetterMessage(got, { deadLetterReason: "late" });
  });
  await receiving(client, queue, DEAD, async (dead) => {
    const got = await one(dead);
    same("late", got.deadLetterReason, "reason");
    await dead.completeMessage(got);
  });
}

async function peek(client, queue) {
  await send(client, queue, texts(5));
  await receiving(client, queue, {}, async (receiver) => {
    const five = await receiver.peekMessages(10, { fromSequenceNumber: Long.ZERO });
    same(names(5), five.map(text), "peeked");
    const rest = await receiver.peekMessages(2, { fromSequenceNumber: five[2].sequenceNumber });
    same(["m2", "m3"], rest.map(text), "peeked from the third");
    const got = await take(receiver, 5);
    same([0, 0, 0, 0, 0], got.map((message) => message.deliveryCount), "peeking does not count");
    await complete(receiver, got);
    same([], await receiver.peekMessages(1, { fromSequenceNumber: Long.ZERO }), "peeked at the end");
  });
}

// --- time --------------------------------------------------------------------------------------
async function schedule(client, queue) {
  await using(client.createSender(queue), (sender) => receiving(client, queue, {}, async (receiver) => {
    const due = new Date(Date.now() + 10_000);
    const numbers = await sender.scheduleMessages(texts(3), due);
    same(3, new Set(numbers.map(String)).size, "sequence numbers");
    const [peeked] = await receiver.peekMessages(1, { fromSequenceNumber: numbers[0] });
    same("scheduled", peeked.state, "state");
    await sender.cancelScheduledMessages(numbers[1]);
    await raises("MessageNotFound", () => sender.cancelScheduledMessages(numbers[1]));
    await sender.sendMessages({ body: Buffer.from("m9"), scheduledEnqueueTimeUtc: due });
    const first = await one(receiver);
    check(Date.now() >= due.getTime() - 100, "not before its time");
    const got = [first, ...(await take(receiver, 2))];
    same(["m0", "m2", "m9"], got.map(text).sort(), "messages that were not cancelled");
    await complete(receiver, got);
  }));
}

async function expire(client, queue) {
  await send(client, queue, { body: Buffer.from("old"), timeToLive: 1000 });
  await delay(1500);
  await receiving(client, queue, DEAD, async (dead) => {
    const got = await one(dead);
    same(["old", "TTLExpiredException"], [text(got), got.deadLetterReason], "dead letter");
    await dead.completeMessage(got);
  });
}

async function renewLock(client, queue) {
  await send(client, queue, texts(1));
  await receiving(client, queue, NO_RENEWAL, async (receiver) => {
    const got = await one(receiver);
    for (let round = 0; round < 3; ++round) {
      const before = got.lockedUntilUtc.getTime();
      await delay(LOCK * 0.4);
      const until = await receiver.renewMessageLock(got);
      check(until.getTime() > before + LOCK * 0.3, `${before} became ${until.getTime()}`);
    }
    await receiver.completeMessage(got); // after longer than one lock
    await nothingLeft(receiver);
  });
}

async function autoRenew(client, queue) {
  await send(client, queue, texts(1));
  let deliveries = 0;
  await receiving(client, queue, { maxAutoLockRenewalDurationInMs: 120_000 }, async (receiver) => {
    await new Promise((resolve, reject) => {
      receiver.subscribe({
        processError: async ({ error }) => reject(error),
        processMessage: async () => {
          deliveries += 1;
          await delay(LOCK * 1.8);
          setTimeout(resolve, 500);
        },
      });
    });
  });
  same(1, deliveries, "deliveries");
  await receiving(client, queue, {}, nothingLeft);
}

async function lockLost(client, queue) {
  await send(client, queue, texts(1));
  await receiving(client, queue, NO_RENEWAL, async (receiver) => {
    const got = await one(receiver);
    await delay(LOCK + 500);
    await raises("MessageLockLost", () => receiver.completeMessage(got));
    await raises("MessageLockLost", () => receiver.renewMessageLock(got));
    const again = await one(receiver);
    same(1, again.deliveryCount, "an expired lock counts");
    await receiver.completeMessage(again);
    await nothingLeft(receiver);
  });
}

// --- sessions ----------------------------------------------------------------------------------
async function sessions(client, queue) {
  await send(client, queue, inSession("a", "a0", "a1", "a2"));
  await send(client, queue, inSession("b", "b0", "b1"));
  await using(await client.acceptSession(queue, "b"), async (receiver) => {
    same("b", receiver.sessionId, "session");
    check(receiver.sessionLockedUntilUtc.getTime() > Date.now(), `locked until ${receiver.sessionLockedUntilUtc}`);
    const got = await take(receiver, 2);
    same([["b0", "b"], ["b1", "b"]], got.map((message) => [text(message), message.sessionId]), "messages");
    await complete(receiver, got);
    await nothingLeft(receiver);
    await using(await client.acceptNextSession(queue), async (following) => {
      same("a", following.sessionId, "the next session");
      await following.abandonMessage(await one(following));
      const rest = await take(following, 3);
      same(["a0", "a1", "a2"], rest.map(text), "an abandoned message returns to its place");
      await complete(following, rest);
    });
  });
}

async function sessionEmpty(client, queue) {
  await using(await client.acceptSession(queue, "early"), async (receiver) => {
    await send(client, queue, inSession("early", "e0"));
    await receiver.completeMessage(await one(receiver));
  });
}

async function sessionSubscribe(client, queue) {
  await send(client, queue, inSession("s", ...names(20)));
  const seen = [];
  await using(await client.acceptSession(queue, "s"), async (receiver) => {
    await new Promise((resolve, reject) => {
      receiver.subscribe({
        processError: async ({ error }) => reject(error),
        processMessage: async (message) => {
          seen.push(text(message));
          if (seen.length === 20) setTimeout(resolve, 300);
        },
      });
    });
  });
  same(names(20), seen, "first in, first out");
}

async function sessionState(client, queue) {
  await using(await client.acceptSession(queue, "s"), async (receiver) => {
    check(!(await receiver.getSessionState()), "a new session has no state");
    await receiver.setSessionState({ step: 3 });
    same({ step: 3 }, await receiver.getSessionState(), "state");
    const before = receiver.sessionLockedUntilUtc.getTime();
    await delay(1000);
    check((await receiver.renewSessionLock()).getTime() > before, "renewed");
  });
  await using(await client.acceptSession(queue, "s"), async (receiver) => {
    same({ step: 3 }, await receiver.getSessionState(), "state after the session was closed");
    await receiver.setSessionState(null);
    check(!(await receiver.getSessionState()), "a cleared state");
  });
}

async function sessionNone(_, queue) {
  await using(connect("SERVICEBUS", { maxRetries: 0, timeoutInMs: 2000 }), (client) =>
    raises("ServiceTimeout", () => client.acceptNextSession(queue)));
}

async function sessionLocked(client, queue) {
  await using(await client.acceptSession(queue, "taken"), () => using(connect("SERVICEBUS", ONCE), (other) =>
    raises("SessionCannotBeLocked", () => other.acceptSession(queue, "taken"))));
}

async function sessionLockLost(client, queue) {
  await send(client, queue, inSession("s", "s0"));
  await using(await client.acceptSession(queue, "s", NO_RENEWAL), async (receiver) => {
    const got = await one(receiver);
    await delay(LOCK + 500);
    await raises("SessionLockLost", () => receiver.completeMessage(got));
  });
  await using(await client.acceptSession(queue, "s"), async (receiver) => {
    const again = await one(receiver);
    same(1, again.deliveryCount, "an expired lock counts");
    await receiver.completeMessage(again);
  });
}

async function sessionAutoRenew(client, queue) {
  await send(client, queue, inSession("s", "s0"));
  await using(await client.acceptSession(queue, "s", { maxAutoLockRenewalDurationInMs: 60_000 }), async (receiver) => {
    const got = await one(receiver);
    await delay(LOCK * 1.3);
    await receiver.completeMessage(got);
    await nothingLeft(receiver);
  });
}

// --- what the entity does ----------------------------------------------------------------------
async function duplicates(client, queue) {
  for (const body of ["first", "second"]) await send(client, queue, { body: Buffer.from(body), messageId: "same" });
  await send(client, queue, { body: Buffer.from("other"), messageId: "other" });
  await receiving(client, queue, {}, async (receiver) => {
    const got = await take(receiver, 2);
    same(["first", "other"], got.map(text), "messages");
    await complete(receiver, got);
    await nothingLeft(receiver);
  });
}

async function forward(client, queue) {
  await send(client, queue, { body: Buffer.from("on"), messageId: "f1" });
  await receiving(client, "forward-target", {}, async (receiver) => {
    const got = await one(receiver);
    same(["on", "f1"], [text(got), got.messageId], "forwarded");
    check(got.enqueuedSequenceNumber > 0, "the sequence number of the first queue");
    await receiver.completeMessage(got);
  });
}

// --- refusals ----------------------------------------------------------------------------------
const refused = (variable, code, action) => using(connect(variable, ONCE), (client) => raises(code, () => action(client)));

const wrongKey = (_, queue) => refused("SERVICEBUS_WRONG_KEY", "UnauthorizedAccess", (client) => send(client, queue, texts(1)));
const expiredToken = (_, queue) => refused("SERVICEBUS_EXPIRED", "UnauthorizedAccess", (client) => send(client, queue, texts(1)));
const signedToken = (_, queue) => using(connect("SERVICEBUS_SIGNED"), async (client) => {
  await send(client, queue, texts(1));
  await receiving(client, queue, {}, async (receiver) => receiver.completeMessage(await one(receiver)));
});
const listenOnly = (_, queue) => refused("SERVICEBUS_LISTEN_ONLY", "UnauthorizedAccess", (client) => send(client, queue, texts(1)));
async function sendOnly(_, queue) {
  await using(connect("SERVICEBUS_SEND_ONLY"), (client) => send(client, queue, texts(1)));
  await refused("SERVICEBUS_SEND_ONLY", "UnauthorizedAccess", (client) =>
    receiving(client, queue, {}, (receiver) => receiver.receiveMessages(1, { maxWaitTimeInMs: QUIET })));
}
// The claim for a queue that does not exist is refused already; this client has no better word for that.
const missingEntity = (_, queue) => refused("SERVICEBUS", "ServiceCommunicationProblem", (client) => send(client, queue, texts(1)));
const disabled = (_, queue) => refused("SERVICEBUS", "MessagingEntityDisabled", (client) => send(client, queue, texts(1)));
const sessionRequired = (_, queue) => refused("SERVICEBUS", "GeneralError", (client) =>
  receiving(client, queue, {}, (receiver) => receiver.receiveMessages(1, { maxWaitTimeInMs: QUIET })));

// The long ones first: the others fit into their time.
const cases = {
  autoRenew, sessionAutoRenew, lockLost, renewLock, sessionLockLost, prefetch, schedule, sendOne, bodies, amqpBodies, sendList, batch,
  messageId, large, tooLarge, receiveAndDelete, subscribe, subscribeThrows, loop, abandon, maxDelivery, deadLetter, defer, deferAgain,
  peek, expire, sessions, sessionEmpty, sessionSubscribe, sessionState, sessionNone, sessionLocked, duplicates, forward, wrongKey,
  expiredToken, signedToken, listenOnly, sendOnly, missingEntity, disabled, sessionRequired,
};
const withClient = (action) => (name) => using(connect(), (client) => action(client, name));
await run("messages", Object.fromEntries(Object.entries(cases).map(([name, action]) => [name, withClient(action)])), { atOnce: 10 });
