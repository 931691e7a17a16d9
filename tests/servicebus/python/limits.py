"""What users of azure-servicebus see of the limits of the cloud.

    limits.py sync|async [full]      one line per case, then a summary; full: no more connections are possible
"""
import asyncio
import datetime
import sys

from azure.core.exceptions import HttpResponseError
from azure.servicebus import ServiceBusMessage
from azure.servicebus import exceptions as errors

import admin
import suite
from suite import Raises, same

FITS, TOO_LARGE = "x" * (200 << 10), "x" * (300 << 10)


async def messages(_):
    async with suite.connect() as client, client.get_queue_sender("large") as sender:
        await sender.send_messages(ServiceBusMessage(FITS))
        with Raises(errors.MessageSizeExceededError):
            await sender.send_messages(ServiceBusMessage(TOO_LARGE))
        soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
        await sender.schedule_messages(ServiceBusMessage(FITS), soon)
        with Raises(errors.MessageSizeExceededError):
            await sender.schedule_messages(ServiceBusMessage(TOO_LARGE), soon)


async def queues(client):
    made = await client.create_queue("made")
    same((1024, 256), (made.max_size_in_megabytes, made.max_message_size_in_kilobytes), "sizes when nothing is said")
    for wrong in ({"max_size_in_megabytes": 512}, {"max_size_in_megabytes": 10240}, {"max_message_size_in_kilobytes": 2048}):
        try:
            await client.create_queue("beyond", **wrong)
            raise AssertionError(f"taken: {wrong}")
        except HttpResponseError as error:
            same(400, error.status_code, f"status of {wrong}")
    made.max_size_in_megabytes = 5120
    await client.update_queue(made)


async def connections(_):
    with Raises(errors.ServiceBusConnectionError, "amqp:resource-limit-exceeded"):
        async with suite.connect(retry_total=0) as client, client.get_queue_sender("large") as sender:
            await sender.send_messages(ServiceBusMessage(FITS))


if __name__ == "__main__":
    sys.exit(asyncio.run(admin.run("limits", (connections,) if "full" in sys.argv else (messages, queues))))
