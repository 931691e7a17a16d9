"""Ordinary code with the library's ordinary retries, while the server restarts under it.

    traffic.py sync|async QUEUE COUNT      prints "sent N" and "received N" as it goes
"""
import asyncio
import sys

from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusError

from suite import SYNC, blocking, body, connect, pause


async def traffic(queue, count):
    async with connect() as client, client.get_queue_sender(queue) as sender, client.get_queue_receiver(queue) as receiver:
        for number in range(count):
            await sender.send_messages(ServiceBusMessage(str(number)))
            print("sent", number + 1, flush=True)
            await pause(0.005)
        seen = set()
        while len(seen) < count:
            for message in await receiver.receive_messages(max_message_count=10, max_wait_time=5):
                seen.add(body(message))
                try:
                    await receiver.complete_message(message)
                except ServiceBusError:
                    pass  # a lock that the restart ended: the message comes again
            print("received", len(seen), flush=True)
            await pause(0.05)


if __name__ == "__main__":
    work = traffic(sys.argv[2], int(sys.argv[3]))
    blocking(work) if SYNC else asyncio.run(work)
