"""A client that dies with its locks, and one that comes after it.

    holder.py sync|async hold QUEUE     sends three messages, locks them, says so, and stays
    holder.py sync|async take QUEUE     prints "BODY DELIVERY-COUNT SECONDS" of three messages, and completes them
"""
import asyncio
import sys
import time

from suite import SYNC, blocking, body, connect, pause, send, take, texts


async def hold(client, queue):
    await send(client, queue, texts(3))
    async with client.get_queue_receiver(queue) as receiver:
        messages = await take(receiver, 3)
        print(max(message.locked_until_utc.timestamp() for message in messages), flush=True)
        while True:
            await pause(60)


async def take_all(client, queue):
    async with client.get_queue_receiver(queue) as receiver:
        for message in await take(receiver, 3, seconds=120):
            print(body(message).decode(), message.delivery_count, time.time(), flush=True)
            await receiver.complete_message(message)


async def main(what, queue):
    async with connect() as client:
        await {"hold": hold, "take": take_all}[what](client, queue)


if __name__ == "__main__":
    work = main(*sys.argv[2:])
    blocking(work) if SYNC else asyncio.run(work)
