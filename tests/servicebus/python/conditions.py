"""What an application sees of the conditions of a server.

    conditions.py sync|async NAME…      for each queue name of condition_server: "NAME OUTCOME"
"""
import asyncio
import sys

from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusError

from suite import SYNC, at_once, blocking, connect


async def use(client, name):
    way = name.split("--")[0]
    if way == "settle":
        async with client.get_queue_receiver(name) as receiver:
            [message] = await receiver.receive_messages(max_wait_time=60)
            await receiver.complete_message(message)
    elif way == "request":
        async with client.get_queue_receiver(name) as receiver:
            await receiver.peek_messages()
    else:
        async with client.get_queue_sender(name) as sender:
            await sender.send_messages(ServiceBusMessage("m"))


async def outcome(name):
    # What ends once is to be survived; of the rest the first refusal counts.
    once = name.split("--")[0] in ("detach", "close")
    try:
        async with connect(retry_total=3 if once else 0, retry_backoff_factor=0.1) as client:
            await use(client, name)
        return "ok"
    except ServiceBusError as error:
        return type(error).__name__


async def tell(name):
    print(f"{name} {await outcome(name)}\n", end="", flush=True)


async def main():
    await at_once(*(tell(name) for name in sys.argv[2:]))


blocking(main()) if SYNC else asyncio.run(main())
