"""Every message operation of azure-servicebus against the server that the environment names.

    suite.py sync|async [CASE…]      one line per case, then a summary; the exit code says whether all passed

The cases are written once, for the asynchronous client; `Blocking` gives the synchronous one the same face.
Each case has a queue of its own name, so they run side by side.
"""
import asyncio
import concurrent.futures
import datetime
import os
import sys
import time
import traceback
import uuid

import azure.servicebus
import azure.servicebus.aio
from azure.servicebus import (NEXT_AVAILABLE_SESSION, ServiceBusMessage, ServiceBusReceiveMode, ServiceBusSubQueue,
                              TransportType)
from azure.servicebus import exceptions as errors

SYNC = sys.argv[1] == "sync"
# The time a receive waits for what must not come. What must come is waited for much longer.
QUIET, LONG = 1, 60
LOCK = 10  # seconds: the queues with short locks
TRANSPORT = os.environ["SERVICEBUS_TRANSPORT"]
# A client with a custom endpoint takes every refused claim for a wrong endpoint.
REFUSED = errors.ServiceBusAuthenticationError if TRANSPORT == "plain" else errors.ServiceBusConnectionError


class Blocking:
    """An object of the synchronous client, called like its asynchronous twin."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        value = getattr(self.inner, name)
        if name == "session":
            return Blocking(value)
        if not callable(value):
            return value
        if name in ("get_queue_sender", "get_queue_receiver"):
            return lambda *words, **options: Blocking(value(*words, **{name: plain(one) for name, one in options.items()}))

        async def call(*words, **options):
            return value(*words, **options)
        return call

    async def __aenter__(self):
        self.inner.__enter__()
        return self

    async def __aexit__(self, *error):
        return self.inner.__exit__(*error)

    async def __aiter__(self):
        for message in self.inner:
            yield message


def plain(value):
    """What the client itself works with: it calls a renewer that it was given."""
    return value.inner if isinstance(value, Blocking) else value


def connect(connection="SERVICEBUS", **options):
    if TRANSPORT != "plain":  # with TLS these clients ignore the port of a connection string
        options["custom_endpoint_address"] = os.environ["SERVICEBUS_ENDPOINT"]
        options["transport_type"] = TransportType.AmqpOverWebsocket if TRANSPORT == "websocket" else TransportType.Amqp
    if os.environ.get("SERVICEBUS_CA"):
        options["connection_verify"] = os.environ["SERVICEBUS_CA"]
    library = azure.servicebus if SYNC else azure.servicebus.aio
    client = library.ServiceBusClient.from_connection_string(os.environ[connection], **options)
    return Blocking(client) if SYNC else client


def renewer(**options):
    return Blocking(azure.servicebus.AutoLockRenewer(**options)) if SYNC else azure.servicebus.aio.AutoLockRenewer(**options)


async def pause(seconds):
    time.sleep(seconds) if SYNC else await asyncio.sleep(seconds)


def same(wanted, got, what=""):
    if wanted != got:
        raise AssertionError(f"{what or 'value'}: wanted {wanted!r}, got {got!r}")


def check(truth, what):
    if not truth:
        raise AssertionError(what)


class Raises:
    """The exact class counts: applications choose what to do by it."""

    def __init__(self, wanted, text=""):
        self.wanted, self.text = wanted, text

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            raise AssertionError(f"no {self.wanted.__name__}")
        if kind is not self.wanted or self.text not in str(error):
            raise AssertionError(f"wanted {self.wanted.__name__} {self.text!r}, got {kind.__name__}: {error}") from error
        return True


def body(message):
    return b"".join(message.body)


def bodies(messages):
    return [body(message).decode() for message in messages]


def texts(count, start=0):
    return [ServiceBusMessage(f"m{number}") for number in range(start, start + count)]


async def send(client, queue, messages):
    async with client.get_queue_sender(queue) as sender:
        await sender.send_messages(messages)


async def take(receiver, count, seconds=LONG):
    """Exactly `count` messages, in as many receives as it takes."""
    messages, end = [], time.monotonic() + seconds
    while len(messages) < count and time.monotonic() < end:
        messages += await receiver.receive_messages(max_message_count=count - len(messages), max_wait_time=2)
    same(count, len(messages), "messages received")
    return messages


async def one(receiver):
    return (await take(receiver, 1))[0]


async def nothing_left(receiver):
    same([], bodies(await receiver.receive_messages(max_message_count=10, max_wait_time=QUIET)), "messages left")


# --- sending and receiving --------------------------------------------------------------------
async def send_one(client, queue):
    sent = ServiceBusMessage(
        b"\x00bytes\xff", content_type="application/octet-stream", correlation_id="c1", subject="s1", to="t1", reply_to="r1",
        message_id="id-1", time_to_live=datetime.timedelta(minutes=5),
        application_properties={"text": "ü", "int": 2**31 - 1, "double": 1.5, "bool": True, "bytes": b"\x00\x01",
                                "uuid": uuid.UUID(int=5)})
    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=2)
    await send(client, queue, sent)
    async with client.get_queue_receiver(queue) as receiver:
        got = await one(receiver)
        same(b"\x00bytes\xff", body(got), "body")
        same(("application/octet-stream", "c1", "s1", "t1", "r1", "id-1"),
             (got.content_type, got.correlation_id, got.subject, got.to, got.reply_to, got.message_id), "properties")
        same(datetime.timedelta(minutes=5), got.time_to_live, "time to live")
        same({b"text": "ü".encode(), b"int": 2**31 - 1, b"double": 1.5, b"bool": True, b"bytes": b"\x00\x01",
              b"uuid": uuid.UUID(int=5)},
             {name: value.encode() if isinstance(value, str) else value for name, value in got.application_properties.items()},
             "application properties")
        same(0, got.delivery_count, "delivery count")
        check(got.sequence_number > 0, "a sequence number")
        check(got.lock_token, "a lock token")
        check(before < got.enqueued_time_utc < before + datetime.timedelta(seconds=60), f"enqueued at {got.enqueued_time_utc}")
        check(got.locked_until_utc > got.enqueued_time_utc, "locked until")
        await receiver.complete_message(got)
        with Raises(errors.MessageAlreadySettled):
            await receiver.complete_message(got)
        await nothing_left(receiver)


async def send_list(client, queue):
    await send(client, queue, texts(5))
    async with client.get_queue_receiver(queue) as receiver:
        got = await take(receiver, 5)
        same(["m0", "m1", "m2", "m3", "m4"], bodies(got), "order")
        numbers = [message.sequence_number for message in got]
        same(sorted(set(numbers)), numbers, "sequence numbers grow")
        for message in got:
            await receiver.complete_message(message)
        await nothing_left(receiver)


async def batch(client, queue):
    async with client.get_queue_sender(queue) as sender:
        many = await sender.create_message_batch()
        for message in texts(100):
            many.add_message(message)
        await sender.send_messages(many)
        small = await sender.create_message_batch(max_size_in_bytes=1000)
        with Raises(errors.MessageSizeExceededError):
            small.add_message(ServiceBusMessage("x" * 2000))
    async with client.get_queue_receiver(queue) as receiver:
        got = await take(receiver, 100)
        same([f"m{number}" for number in range(100)], bodies(got), "order")
        for message in got:
            await receiver.complete_message(message)


async def message_id(client, queue):
    await send(client, queue, [ServiceBusMessage("given", message_id="mine"), *texts(2)])
    async with client.get_queue_receiver(queue, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE) as receiver:
        ids = [message.message_id for message in await take(receiver, 3)]
    same("mine", ids[0], "the sender's id")
    check(all(ids) and len(set(ids)) == 3, f"ids are given to messages without one: {ids}")


async def large(client, queue):
    data = bytes(range(256)) * 800  # 200 KB: several frames each way
    await send(client, queue, [ServiceBusMessage(data)])
    await send(client, queue, ServiceBusMessage(data[::-1], application_properties={"p": "x" * 20000}))
    async with client.get_queue_receiver(queue) as receiver:
        for wanted in (data, data[::-1]):
            got = await one(receiver)
            check(body(got) == wanted, f"a body of {len(body(got))} bytes came back changed")
            await receiver.complete_message(got)


async def too_large(client, queue):
    with Raises(errors.MessageSizeExceededError):
        await send(client, queue, ServiceBusMessage(b"x" * 1200 * 1024))


async def receive_and_delete(client, queue):
    await send(client, queue, texts(10))
    async with client.get_queue_receiver(queue, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE) as receiver:
        got = await take(receiver, 10)
        same([f"m{number}" for number in range(10)], bodies(got), "order")
        check(got[0].lock_token is None, "no lock token on a deleted message")
        with Raises(ValueError):
            await receiver.complete_message(got[0])
        await nothing_left(receiver)


async def prefetch(client, queue):
    for start in range(0, 500, 100):
        await send(client, queue, texts(100, start))
    seen = []
    async with client.get_queue_receiver(queue, prefetch_count=50) as receiver:
        while len(seen) < 500:
            got = await receiver.receive_messages(max_message_count=50, max_wait_time=LONG)
            check(got, f"only {len(seen)} of 500 messages came")
            for message in got:
                await receiver.complete_message(message)
            seen += bodies(got)
        same(sorted(f"m{number}" for number in range(500)), sorted(seen), "every message once")
        await nothing_left(receiver)


async def loop(client, queue):
    await send(client, queue, texts(20))
    seen = []
    async with client.get_queue_receiver(queue, max_wait_time=8) as receiver:
        async for message in receiver:
            seen.append(body(message).decode())
            await receiver.complete_message(message)
    same([f"m{number}" for number in range(20)], seen, "the loop's messages")


async def waiting(client, queue):
    """A receive that waits gets what is sent meanwhile, and at once."""
    async with client.get_queue_receiver(queue) as receiver, client.get_queue_sender(queue) as sender:
        await nothing_left(receiver)
        await sender.schedule_messages(ServiceBusMessage("late"), now() + datetime.timedelta(seconds=2))
        start = time.monotonic()
        got = await receiver.receive_messages(max_wait_time=LONG)
        same(["late"], bodies(got), "messages")
        check(time.monotonic() - start < LONG / 2, "the receive returned late")
        await receiver.complete_message(got[0])


# --- settling ---------------------------------------------------------------------------------
async def abandon(client, queue):
    await send(client, queue, texts(1))
    async with client.get_queue_receiver(queue) as receiver:
        for count in range(3):
            got = await one(receiver)
            same(count, got.delivery_count, "delivery count")
            await receiver.abandon_message(got)
        got = await one(receiver)
        same(3, got.delivery_count, "delivery count")
        await receiver.complete_message(got)
        await nothing_left(receiver)


async def max_delivery(client, queue):
    await send(client, queue, texts(1))
    async with client.get_queue_receiver(queue) as receiver:
        for _ in range(2):
            await receiver.abandon_message(await one(receiver))
        await nothing_left(receiver)
    async with client.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
        got = await one(dead)
        same("MaxDeliveryCountExceeded", got.dead_letter_reason, "reason")
        check("2 delivery attempts" in got.dead_letter_error_description, got.dead_letter_error_description)
        await dead.abandon_message(got)
        again = await one(dead)
        same(got.delivery_count, again.delivery_count, "a dead-letter queue does not count")
        await dead.complete_message(again)


async def dead_letter(client, queue):
    await send(client, queue, ServiceBusMessage("bad", message_id="b1", application_properties={"kept": 1}))
    async with client.get_queue_receiver(queue) as receiver:
        await receiver.dead_letter_message(await one(receiver), reason="poison", error_description="cannot read it")
        await nothing_left(receiver)
    async with client.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
        got = await one(dead)
        same(("bad", "b1", "poison", "cannot read it"),
             (body(got).decode(), got.message_id, got.dead_letter_reason, got.dead_letter_error_description), "dead letter")
        same(1, got.application_properties[b"kept"], "its own property")
        await dead.complete_message(got)
        await nothing_left(dead)


async def defer(client, queue):
    await send(client, queue, texts(2))
    async with client.get_queue_receiver(queue) as receiver:
        first, second = await take(receiver, 2)
        await receiver.defer_message(first)
        await receiver.complete_message(second)
        await nothing_left(receiver)
        [got] = await receiver.receive_deferred_messages(first.sequence_number)
        same("m0", body(got).decode(), "the deferred message")
        check(got.lock_token, "a lock token")
        await receiver.renew_message_lock(got)
        await receiver.complete_message(got)
        with Raises(errors.MessageNotFoundError):
            await receiver.receive_deferred_messages(first.sequence_number)


async def defer_again(client, queue):
    """What a deferred message can become: abandoned it stays deferred, dead-lettered it moves."""
    await send(client, queue, texts(1))
    async with client.get_queue_receiver(queue) as receiver:
        number = (first := await one(receiver)).sequence_number
        await receiver.defer_message(first)
        [got] = await receiver.receive_deferred_messages([number])
        await receiver.abandon_message(got)
        [got] = await receiver.receive_deferred_messages([number])
        await receiver.dead_letter_message(got, reason="late")
    async with client.get_queue_receiver(queue, sub_queue="deadletter") as dead:
        got = await one(dead)
        same("late", got.dead_letter_reason, "reason")
        await dead.complete_message(got)


async def peek(client, queue):
    await send(client, queue, texts(5))
    async with client.get_queue_receiver(queue) as receiver:
        all_five = await receiver.peek_messages(max_message_count=10)
        same([f"m{number}" for number in range(5)], bodies(all_five), "peeked")
        rest = await receiver.peek_messages(max_message_count=2, sequence_number=all_five[2].sequence_number)
        same(["m2", "m3"], bodies(rest), "peeked from the third")
        same([], await receiver.peek_messages(sequence_number=all_five[4].sequence_number + 1), "peeked behind the last")
        got = await take(receiver, 5)
        same([0] * 5, [message.delivery_count for message in got], "peeking does not count")
        for message in got:
            await receiver.complete_message(message)
        same([], await receiver.peek_messages(), "peeked at the end")


# --- time -------------------------------------------------------------------------------------
def now():
    return datetime.datetime.now(datetime.timezone.utc)


async def schedule(client, queue):
    async with client.get_queue_sender(queue) as sender, client.get_queue_receiver(queue) as receiver:
        due = now() + datetime.timedelta(seconds=10)
        numbers = await sender.schedule_messages(texts(3), due)
        same(3, len(set(numbers)), "sequence numbers")
        await sender.cancel_scheduled_messages(numbers[1])
        with Raises(errors.MessageNotFoundError):
            await sender.cancel_scheduled_messages(numbers[1])
        await sender.send_messages(ServiceBusMessage("m9", scheduled_enqueue_time_utc=due))
        first = await one(receiver)
        check(now() >= due - datetime.timedelta(milliseconds=100), "not before its time")
        got = [first, *await take(receiver, 2)]
        same(["m0", "m2", "m9"], sorted(bodies(got)), "messages that were not cancelled")
        for message in got:
            await receiver.complete_message(message)


async def expire(client, queue):
    await send(client, queue, ServiceBusMessage("old", time_to_live=datetime.timedelta(seconds=1)))
    await pause(1.5)
    async with client.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
        got = await one(dead)
        same(("old", "TTLExpiredException"), (body(got).decode(), got.dead_letter_reason), "dead letter")
        await dead.complete_message(got)
    async with client.get_queue_receiver(queue) as receiver:
        await nothing_left(receiver)


async def expire_drop(client, queue):
    await send(client, queue, ServiceBusMessage("old", time_to_live=datetime.timedelta(seconds=1)))
    await pause(1.5)
    async with client.get_queue_receiver(queue) as receiver:
        await nothing_left(receiver)
    async with client.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
        await nothing_left(dead)


async def renew_lock(client, queue):
    await send(client, queue, texts(1))
    async with client.get_queue_receiver(queue) as receiver:
        got = await one(receiver)
        for _ in range(3):
            before = got.locked_until_utc
            await pause(LOCK * 0.4)
            until = await receiver.renew_message_lock(got)
            same(until, got.locked_until_utc, "locked until")
            check(until > before + datetime.timedelta(seconds=LOCK * 0.3), f"{before} became {until}")
        await receiver.complete_message(got)  # after longer than one lock
        await nothing_left(receiver)


async def auto_renew(client, queue):
    await send(client, queue, texts(1))
    async with renewer(max_lock_renewal_duration=120) as keeping, \
            client.get_queue_receiver(queue, auto_lock_renewer=keeping) as receiver, \
            client.get_queue_receiver(queue) as other:
        got = await one(receiver)
        await pause(LOCK * 1.2)
        await nothing_left(other)
        await pause(LOCK * 0.4)
        same(None, got.auto_renew_error, "renewal")
        await receiver.complete_message(got)
        await nothing_left(other)


async def lock_lost(client, queue):
    await send(client, queue, texts(1))
    async with client.get_queue_receiver(queue) as receiver:
        got = await one(receiver)
        await pause(LOCK + 0.5)
        with Raises(errors.MessageLockLostError):
            await receiver.complete_message(got)
        with Raises(errors.MessageLockLostError):  # this one asks the server
            await receiver.renew_message_lock(got)
        again = await one(receiver)
        same(1, again.delivery_count, "an expired lock counts")
        await receiver.complete_message(again)
        await nothing_left(receiver)


# --- sessions ---------------------------------------------------------------------------------
def in_session(session, *names):
    return [ServiceBusMessage(name, session_id=session) for name in names]


async def sessions(client, queue):
    await send(client, queue, in_session("a", "a0", "a1", "a2"))
    await send(client, queue, in_session("b", "b0", "b1"))
    async with client.get_queue_receiver(queue, session_id="b") as receiver:
        same("b", receiver.session.session_id, "session")
        got = await take(receiver, 2)
        same((["b0", "b1"], ["b", "b"]), (bodies(got), [message.session_id for message in got]), "messages")
        for message in got:
            await receiver.complete_message(message)
        await nothing_left(receiver)
        async with client.get_queue_receiver(queue, session_id=NEXT_AVAILABLE_SESSION) as following:
            same("a", following.session.session_id, "the next session")
            first = await one(following)
            await following.abandon_message(first)
            got = await take(following, 3)
            same(["a0", "a1", "a2"], bodies(got), "an abandoned message returns to its place")
            for message in got:
                await following.complete_message(message)


async def session_empty(client, queue):
    """A named session may be taken before it has messages."""
    async with client.get_queue_receiver(queue, session_id="early") as receiver:
        await send(client, queue, in_session("early", "e0"))
        await receiver.complete_message(await one(receiver))


async def session_state(client, queue):
    async with client.get_queue_receiver(queue, session_id="s") as receiver:
        session = receiver.session
        check(not await session.get_state(), "a new session has no state")
        await session.set_state(b"\x00\x01state")
        same(b"\x00\x01state", await session.get_state(), "state")
        before = session.locked_until_utc
        await pause(1)
        until = await session.renew_lock()
        check(until > before, f"{before} became {until}")
    async with client.get_queue_receiver(queue, session_id="s") as receiver:
        same(b"\x00\x01state", await receiver.session.get_state(), "state after the session was closed")
        await receiver.session.set_state(None)
        check(not await receiver.session.get_state(), "a cleared state")


async def session_none(client, queue):
    async with connect(retry_total=0) as impatient:
        start = time.monotonic()
        with Raises(errors.OperationTimeoutError):
            async with impatient.get_queue_receiver(queue, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=2):
                pass
        check(1.5 < time.monotonic() - start < 40, "the wait was as long as asked for")


async def session_locked(client, queue):
    async with client.get_queue_receiver(queue, session_id="taken"), connect(retry_total=0) as impatient:
        with Raises(errors.SessionCannotBeLockedError):
            async with impatient.get_queue_receiver(queue, session_id="taken"):
                pass


async def session_lock_lost(client, queue):
    await send(client, queue, in_session("s", "s0"))
    async with client.get_queue_receiver(queue, session_id="s") as receiver:
        got = await one(receiver)
        await pause(LOCK + 0.5)
        with Raises(errors.SessionLockLostError):
            await receiver.complete_message(got)
    async with client.get_queue_receiver(queue, session_id="s") as receiver:
        again = await one(receiver)
        same(1, again.delivery_count, "an expired lock counts")
        await receiver.complete_message(again)


async def session_auto_renew(client, queue):
    await send(client, queue, in_session("s", "s0"))
    # The renewer ends first: it must not renew while the receiver closes.
    async with client.get_queue_receiver(queue, session_id="s") as receiver, renewer() as keeping:
        got = await one(receiver)
        await registered(keeping, receiver)
        await pause(LOCK * 1.3)
        await receiver.complete_message(got)
        await nothing_left(receiver)


async def registered(keeping, receiver):
    if SYNC:
        keeping.inner.register(receiver.inner, receiver.inner.session, max_lock_renewal_duration=60)
    else:
        keeping.register(receiver, receiver.session, max_lock_renewal_duration=60)


async def session_list(client, queue):
    client_has_it = hasattr(client.inner if SYNC else client, "list_queue_sessions")
    if not client_has_it:  # new in 7.15
        same("7.14.3", azure.servicebus.__version__, "the version that cannot list sessions")
        return
    for name in ("x", "y"):
        await send(client, queue, in_session(name, "m"))
    async with client.get_queue_receiver(queue, session_id="z") as receiver:
        await receiver.session.set_state(b"1")
    listed = client.inner.list_queue_sessions(queue) if SYNC else client.list_queue_sessions(queue)
    names = list(listed) if SYNC else [name async for name in listed]
    same(["x", "y", "z"], sorted(names), "sessions")


# --- what the entity does ---------------------------------------------------------------------
async def duplicates(client, queue):
    for text in ("first", "second"):
        await send(client, queue, ServiceBusMessage(text, message_id="same"))
    await send(client, queue, ServiceBusMessage("other", message_id="other"))
    async with client.get_queue_receiver(queue) as receiver:
        got = await take(receiver, 2)
        same(["first", "other"], bodies(got), "messages")
        for message in got:
            await receiver.complete_message(message)
        await nothing_left(receiver)


async def forward(client, queue):
    await send(client, queue, ServiceBusMessage("on", message_id="f1"))
    async with client.get_queue_receiver("forward-target") as receiver:
        got = await one(receiver)
        same(("on", "f1"), (body(got).decode(), got.message_id), "forwarded")
        await receiver.complete_message(got)


async def forward_dead(client, queue):
    await send(client, queue, ServiceBusMessage("bad"))
    async with client.get_queue_receiver(queue) as receiver:
        await receiver.dead_letter_message(await one(receiver), reason="poison")
    async with client.get_queue_receiver("forward-dead-target") as receiver:
        got = await one(receiver)
        same(("bad", b"poison"), (body(got).decode(), encoded(got.application_properties[b"DeadLetterReason"])), "forwarded")
        await receiver.complete_message(got)


def encoded(text):
    return text.encode() if isinstance(text, str) else text


async def parallel(client, queue):
    """Four senders and four receivers: every message once."""
    async def sending(number):
        async with connect() as mine, mine.get_queue_sender(queue) as sender:
            for index in range(25):
                await sender.send_messages(ServiceBusMessage(f"{number}-{index}"))

    seen, end = [], time.monotonic() + LONG

    async def receiving(_):
        async with connect() as mine, mine.get_queue_receiver(queue) as receiver:
            while len(seen) < 100 and time.monotonic() < end:
                got = await receiver.receive_messages(max_message_count=5, max_wait_time=2)
                for message in got:
                    await receiver.complete_message(message)
                seen.extend(bodies(got))
            await nothing_left(receiver)

    await at_once(*(sending(number) for number in range(4)), *(receiving(number) for number in range(4)))
    same(sorted(f"{number}-{index}" for number in range(4) for index in range(25)), sorted(seen), "messages")


# --- refusals ---------------------------------------------------------------------------------
async def wrong_key(client, queue):
    async with connect("SERVICEBUS_WRONG_KEY", retry_total=0) as stranger:
        with Raises(REFUSED):
            await send(stranger, queue, texts(1))


async def expired_token(client, queue):
    async with connect("SERVICEBUS_EXPIRED", retry_total=0) as late:
        with Raises(REFUSED):
            await send(late, queue, texts(1))


async def signed_token(client, queue):
    async with connect("SERVICEBUS_SIGNED") as signed:
        await send(signed, queue, texts(1))
        async with signed.get_queue_receiver(queue) as receiver:
            await receiver.complete_message(await one(receiver))


async def listen_only(client, queue):
    async with connect("SERVICEBUS_LISTEN_ONLY", retry_total=0) as listener:
        with Raises(errors.ServiceBusAuthorizationError):
            await send(listener, queue, texts(1))
        async with listener.get_queue_receiver(queue) as receiver:
            await nothing_left(receiver)


async def send_only(client, queue):
    async with connect("SERVICEBUS_SEND_ONLY", retry_total=0) as sender:
        await send(sender, queue, texts(1))
        with Raises(errors.ServiceBusAuthorizationError):
            async with sender.get_queue_receiver(queue) as receiver:
                await receiver.receive_messages(max_wait_time=QUIET)


async def missing_entity(client, queue):
    """The claim for a queue that does not exist is refused, which this client calls an authentication error."""
    async with connect(retry_total=0) as patient:
        with Raises(REFUSED):
            await send(patient, queue, texts(1))
        with Raises(REFUSED):
            async with patient.get_queue_receiver(queue) as receiver:
                await receiver.receive_messages(max_wait_time=QUIET)


async def disabled(client, queue):
    async with connect(retry_total=0) as patient:
        with Raises(errors.MessagingEntityDisabledError):
            await send(patient, queue, texts(1))


async def session_required(client, queue):
    """A queue with sessions refuses messages and receivers without one."""
    async with connect(retry_total=0) as plain:
        with Raises(errors.ServiceBusError):
            await send(plain, queue, texts(1))
        with Raises(errors.ServiceBusError):
            async with plain.get_queue_receiver(queue) as receiver:
                await receiver.receive_messages(max_wait_time=QUIET)


# The long ones first: the others fit into their time.
CASES = [auto_renew, session_auto_renew, lock_lost, renew_lock, session_lock_lost, parallel, prefetch, schedule, waiting, loop,
         send_one, send_list, batch, message_id, large, too_large, receive_and_delete, abandon, max_delivery, dead_letter, defer,
         defer_again, peek, expire, expire_drop, sessions, session_empty, session_state, session_none, session_locked,
         session_list, duplicates, forward, forward_dead, wrong_key, expired_token, signed_token, listen_only, send_only,
         missing_entity, disabled, session_required]
AT_ONCE = 8
DEADLINE = 400  # seconds for one case: a client that hangs is a failure like any other


async def run(case):
    """'' or what went wrong."""
    try:
        async with connect() as client:
            await case(client, case.__name__.replace("_", "-"))
        return ""
    except BaseException as error:  # the clients raise whatever; all of it is a failure of this case
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        where = traceback.extract_tb(error.__traceback__)
        line = next((frame.lineno for frame in reversed(where) if frame.name == case.__name__), 0)
        return f"line {line}: {type(error).__name__}: {error}"


def blocking(coroutine):
    """Runs a coroutine that never suspends: over the synchronous client none does."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("the synchronous client suspended")


async def at_once(*coroutines):
    if not SYNC:
        return await asyncio.gather(*coroutines)
    with concurrent.futures.ThreadPoolExecutor(len(coroutines)) as threads:
        return list(threads.map(blocking, coroutines))


def report(case, start, problem):
    name, seconds = case.__name__.replace("_", "-"), time.monotonic() - start
    print(f"FAILED {name}: {problem}" if problem else f"ok {name} ({seconds:.1f} s)", flush=True)
    return not problem


def run_blocking(cases):
    def whole(case):
        start = time.monotonic()
        return report(case, start, blocking(run(case)))

    threads = concurrent.futures.ThreadPoolExecutor(AT_ONCE)
    futures = {threads.submit(whole, case): case for case in cases}
    end = time.monotonic() + DEADLINE
    done, hanging = concurrent.futures.wait(futures, timeout=end - time.monotonic())
    for future in hanging:
        report(futures[future], 0, f"not done after {DEADLINE} s")
    return [future.result() for future in done] + [False] * len(hanging)


async def run_all(cases):
    room = asyncio.Semaphore(AT_ONCE)

    async def whole(case):
        async with room:
            start = time.monotonic()
            try:
                return report(case, start, await asyncio.wait_for(run(case), DEADLINE))
            except asyncio.TimeoutError:
                return report(case, start, f"not done after {DEADLINE} s")

    return await asyncio.gather(*(whole(case) for case in cases))


def main():
    wanted = {name.replace("-", "_") for name in sys.argv[2:]}
    cases = [case for case in CASES if not wanted or case.__name__ in wanted]
    passed = run_blocking(cases) if SYNC else asyncio.run(run_all(cases))
    print(f"azure-servicebus {azure.servicebus.__version__} {sys.argv[1]}: {len(passed)} cases, {passed.count(False)} failed", flush=True)
    # Not exit(): a case that hangs holds a thread for ever.
    os._exit(0 if passed and all(passed) else 1)


if __name__ == "__main__":
    main()
