// The admin client of @azure/service-bus: the life of a queue.
//
//     node admin.mjs [CASE…]      one line per case, then a summary
import { ServiceBusAdministrationClient, check, connect, delay, run, same } from "./cases.mjs";

const options = { retryOptions: { maxRetries: 0 } };
const admin = new ServiceBusAdministrationClient(process.env.SERVICEBUS_ADMIN, options);

// How an answer of the server reaches the application: the status, and the code the client makes of it.
async function refused(status, code, action) {
  try {
    await action();
  } catch (error) {
    same([status, code], [error.statusCode, error.code], `refusal (${error.message})`);
    return;
  }
  throw new Error(`no ${code}`);
}

async function listed(pages) {
  const names = [];
  for await (const queue of pages) names.push(queue.name);
  return names;
}

async function lifeOfAQueue() {
  const made = await admin.createQueue("life");
  same("life", made.name, "name");
  const got = await admin.getQueue("life");
  same(["PT1M", 10, false, false, "Active"],
    [got.lockDuration, got.maxDeliveryCount, got.requiresSession, got.requiresDuplicateDetection, got.status], "defaults");
  await refused(409, "MessageEntityAlreadyExistsError", () => admin.createQueue("life"));
  await admin.updateQueue({ ...got, maxDeliveryCount: 5, lockDuration: "PT30S", userMetadata: "<mine> & more" });
  const again = await admin.getQueue("life");
  same([5, "PT30S", "<mine> & more"], [again.maxDeliveryCount, again.lockDuration, again.userMetadata], "updated");
  check(await admin.queueExists("life"), "exists");
  check((await listed(admin.listQueues())).includes("life"), "listed");
  await admin.deleteQueue("life");
  check(!(await admin.queueExists("life")), "exists no longer");
  await refused(200, "MessageEntityNotFoundError", () => admin.getQueue("life")); // an empty feed, as from the cloud
  await refused(404, "MessageEntityNotFoundError", () => admin.deleteQueue("life"));
}

async function everyProperty() {
  await admin.createQueue("every-target");
  const wanted = {
    lockDuration: "PT20S", maxSizeInMegabytes: 2048, requiresDuplicateDetection: true, requiresSession: true,
    defaultMessageTimeToLive: "PT2H", deadLetteringOnMessageExpiration: true, duplicateDetectionHistoryTimeWindow: "PT1M",
    maxDeliveryCount: 7, enableBatchedOperations: false, autoDeleteOnIdle: "PT10M", userMetadata: "u",
  };
  await admin.createQueue("every/property", {
    ...wanted,
    forwardDeadLetteredMessagesTo: "every-target",
    authorizationRules: [{
      claimType: "SharedAccessKey", claimValue: "None", keyName: "reader", accessRights: ["Listen"], primaryKey: "k1".repeat(16),
      secondaryKey: "k2".repeat(16),
    }],
  });
  const got = await admin.getQueue("every/property");
  for (const [name, value] of Object.entries(wanted)) same(value, got[name], name);
  check(got.forwardDeadLetteredMessagesTo.endsWith("every-target"), got.forwardDeadLetteredMessagesTo);
  same([["reader", ["Listen"]]], got.authorizationRules.map((rule) => [rule.keyName, rule.accessRights]), "rules");
}

async function runtimeProperties() {
  await admin.createQueue("counted");
  const client = connect();
  const sender = client.createSender("counted");
  await sender.sendMessages([{ body: 1 }, { body: 2 }, { body: 3 }]);
  await sender.scheduleMessages({ body: 4 }, new Date(Date.now() + 3_600_000));
  const receiver = client.createReceiver("counted");
  const [message] = await receiver.receiveMessages(1);
  await receiver.deadLetterMessage(message);
  await client.close();
  const got = await admin.getQueueRuntimeProperties("counted");
  same([2, 1, 1, 4], [got.activeMessageCount, got.deadLetterMessageCount, got.scheduledMessageCount, got.totalMessageCount], "counts");
  check(got.sizeInBytes > 0, "a size");
  for (const name of ["createdAt", "modifiedAt", "accessedAt"]) check(!isNaN(got[name].getTime()), name);
  check((await listed(admin.listQueuesRuntimeProperties())).includes("counted"), "listed");
}

async function listsOfMany() {
  const wanted = Array.from({ length: 120 }, (_, index) => `many-${String(index).padStart(3, "0")}`);
  for (const name of wanted) await admin.createQueue(name);
  const names = (await listed(admin.listQueues())).filter((name) => name.startsWith("many-"));
  same(wanted, names.sort(), "listed once each");
}

// A queue that goes away takes its links along: here the client learns the proper code.
async function deletedWhileInUse() {
  await admin.createQueue("doomed");
  const client = connect("SERVICEBUS", { maxRetries: 0 });
  try {
    const errors = new Promise((resolve) => {
      client.createReceiver("doomed").subscribe({
        processMessage: async () => {},
        processError: async ({ errorSource, error }) => errorSource === "receive" && resolve(error), // not of the last completion
      });
    });
    const sender = client.createSender("doomed");
    await sender.sendMessages({ body: 1 });
    await admin.deleteQueue("doomed");
    const error = await Promise.race([errors, delay(10_000).then(() => ({ code: "nothing" }))]);
    same("MessagingEntityNotFound", error.code, `what the receiver hears (${error.message})`);
  } finally {
    await client.close();
  }
}

async function namespace() {
  const got = await admin.getNamespaceProperties();
  check(got.name && got.messagingSku && got.createdAt, JSON.stringify(got));
}

async function refusals() {
  const stranger = new ServiceBusAdministrationClient(process.env.SERVICEBUS_ADMIN_WRONG_KEY, options);
  await refused(401, "UnauthorizedRequestError", () => stranger.getQueue("life"));
  await refused(400, "ServiceError", () => admin.createQueue("bad", { lockDuration: "PT1H" }));
}

await run("admin", { lifeOfAQueue, everyProperty, runtimeProperties, listsOfMany, deletedWhileInUse, namespace, refusals }, { atOnce: 1 });
