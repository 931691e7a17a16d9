"""The admin clients of azure-servicebus, synchronous and asynchronous: the life of a queue.

    admin.py sync|async      one line per case, then a summary
"""
import asyncio
import datetime
import os
import sys

import azure.servicebus
import azure.servicebus.aio.management
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.management import AccessRights, AuthorizationRule, EntityStatus, ServiceBusAdministrationClient

# suite.py reads the same arguments; its helpers serve here too.
from suite import SYNC, Blocking, Raises, check, same

NEVER = datetime.timedelta(days=10675199)


def connect(variable="SERVICEBUS_ADMIN"):
    # The asynchronous client takes no file of authorities; it reads SSL_CERT_FILE, which the runner sets.
    if SYNC:
        options = {"connection_verify": os.environ["SERVICEBUS_CA"], "retry_total": 0}
        return Blocking(ServiceBusAdministrationClient.from_connection_string(os.environ[variable], **options))
    return azure.servicebus.aio.management.ServiceBusAdministrationClient.from_connection_string(os.environ[variable], retry_total=0)


async def names(client):
    listed = client.inner.list_queues() if SYNC else client.list_queues()
    return [queue.name for queue in listed] if SYNC else [queue.name async for queue in listed]


async def runtime_names(client):
    listed = client.inner.list_queues_runtime_properties() if SYNC else client.list_queues_runtime_properties()
    return [queue.name for queue in listed] if SYNC else [queue.name async for queue in listed]


async def life_of_a_queue(client):
    made = await client.create_queue("life")
    same("life", made.name, "name")
    got = await client.get_queue("life")
    same((datetime.timedelta(minutes=1), 10, False, False, EntityStatus.ACTIVE),
         (got.lock_duration, got.max_delivery_count, got.requires_session, got.requires_duplicate_detection, got.status), "defaults")
    check(got.default_message_time_to_live >= NEVER, f"lives for ever: {got.default_message_time_to_live}")
    with Raises(ResourceExistsError):
        await client.create_queue("life")
    got.max_delivery_count = 5
    got.lock_duration = datetime.timedelta(seconds=30)
    got.user_metadata = "<mine> & more"
    await client.update_queue(got)
    again = await client.get_queue("life")
    same((5, datetime.timedelta(seconds=30), "<mine> & more"), (again.max_delivery_count, again.lock_duration, again.user_metadata),
         "updated")
    check("life" in await names(client), "listed")
    await client.delete_queue("life")
    with Raises(ResourceNotFoundError):
        await client.get_queue("life")
    with Raises(ResourceNotFoundError):
        await client.delete_queue("life")
    check("life" not in await names(client), "gone from the list")


async def every_property(client):
    await client.create_queue("every-target")
    made = await client.create_queue(
        "every/property", lock_duration=datetime.timedelta(seconds=20), max_size_in_megabytes=2048, requires_duplicate_detection=True,
        requires_session=True, default_message_time_to_live=datetime.timedelta(hours=2), dead_lettering_on_message_expiration=True,
        duplicate_detection_history_time_window=datetime.timedelta(minutes=1), max_delivery_count=7, enable_batched_operations=False,
        auto_delete_on_idle=datetime.timedelta(minutes=10), user_metadata="u",
        forward_dead_lettered_messages_to="every-target",
        authorization_rules=[AuthorizationRule(type="SharedAccessAuthorizationRule", claim_type="SharedAccessKey", claim_value="None",
                                               rights=[AccessRights.LISTEN], key_name="reader", primary_key="k1" * 16,
                                               secondary_key="k2" * 16)])
    got = await client.get_queue("every/property")
    for queue in (made, got):
        same((datetime.timedelta(seconds=20), 2048, True, True, datetime.timedelta(hours=2), True, datetime.timedelta(minutes=1), 7,
              False, datetime.timedelta(minutes=10), "u"),
             (queue.lock_duration, queue.max_size_in_megabytes, queue.requires_duplicate_detection, queue.requires_session,
              queue.default_message_time_to_live, queue.dead_lettering_on_message_expiration,
              queue.duplicate_detection_history_time_window, queue.max_delivery_count, queue.enable_batched_operations,
              queue.auto_delete_on_idle, queue.user_metadata), "properties")
        check(queue.forward_dead_lettered_messages_to.endswith("every-target"), str(queue.forward_dead_lettered_messages_to))
        same([("reader", ["Listen"])], [(rule.key_name, rule.rights) for rule in queue.authorization_rules], "rules")
    got.requires_session = False
    with Raises(HttpResponseError):  # fixed when the queue is made
        await client.update_queue(got)


async def runtime_properties(client):
    await client.create_queue("counted")
    with ServiceBusClient.from_connection_string(os.environ["SERVICEBUS"]) as data, data.get_queue_sender("counted") as sender:
        sender.send_messages([ServiceBusMessage("m") for _ in range(3)])
        sender.schedule_messages(ServiceBusMessage("later"), datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1))
        with data.get_queue_receiver("counted") as receiver:
            [message] = receiver.receive_messages(max_wait_time=10)
            receiver.dead_letter_message(message)
    got = await client.get_queue_runtime_properties("counted")
    same((2, 1, 1, 4), (got.active_message_count, got.dead_letter_message_count, got.scheduled_message_count, got.total_message_count),
         "counts")
    check(got.size_in_bytes > 0 and got.created_at_utc and got.updated_at_utc and got.accessed_at_utc, "sizes and times")
    check("counted" in await runtime_names(client), "listed")


async def lists_of_many(client):
    """More queues than one page holds."""
    wanted = [f"many-{number:03}" for number in range(120)]
    for name in wanted:
        await client.create_queue(name)
    listed = await names(client)
    same(wanted, sorted(name for name in listed if name.startswith("many-")), "listed once each")


async def status(client):
    await client.create_queue("stopped")
    got = await client.get_queue("stopped")
    got.status = EntityStatus.SEND_DISABLED
    await client.update_queue(got)
    same("SendDisabled", (await client.get_queue("stopped")).status, "status")


async def namespace(client):
    got = await client.get_namespace_properties()
    check(got.name and got.messaging_sku, f"{got.name} {got.messaging_sku}")


async def refusals(client):
    async with connect("SERVICEBUS_ADMIN_WRONG_KEY") as stranger:
        try:
            await stranger.get_queue("life")
            raise AssertionError("a wrong key was accepted")
        except HttpResponseError as error:
            same(401, error.status_code, "status")
    with Raises(HttpResponseError):
        await client.create_queue("bad", lock_duration=datetime.timedelta(hours=1))


CASES = [life_of_a_queue, every_property, runtime_properties, lists_of_many, status, namespace, refusals]


async def run(name, cases):
    failed = 0
    async with connect() as client:
        for case in cases:
            try:
                await case(client)
                print(f"ok {case.__name__}", flush=True)
            except Exception as error:  # whatever the client raises is a failure of this case
                failed += 1
                print(f"FAILED {case.__name__}: {type(error).__name__}: {error}", flush=True)
    print(f"azure-servicebus {azure.servicebus.__version__} {name} {sys.argv[1]}: {len(cases)} cases, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(run("admin", CASES)))
