"""Streams of counts: what one costs, and how soon a change reaches everybody who watches its reader.

One reader is watched by many; one peer writes to them at a fixed rate. The peer's count after the n-th message is n, so
an event that says n or more tells of the n-th message: its delay is from that message's 200 to the event.
"""

import asyncio
import hashlib
import json
import time
from contextlib import ExitStack

import tables
from bed import SECRET
from process import resident_kib
from service import Service, call, on_servers

TITLE = "Streams of counts"
READER, PEER = "watched", "writer"
PATH = f"/v1/unread/stream?self={READER}&users={PEER}"
RATE = 500
# Posts wait for their answer, so several connections take turns.
POSTERS = 50


def post(number, first_id):
    """A signed copy of the peer's n-th message."""
    at = int(time.time() * 1000)
    body = json.dumps({"eventType": "1", "convType": "PERSON", "msgType": "TEXT", "fromAccount": PEER, "to": READER,
                       "msgTimestamp": str(at), "msgidServer": str(first_id + number), "body": "hello"})
    md5 = hashlib.md5(body.encode()).hexdigest()
    check_sum = hashlib.sha1(f"{SECRET}{md5}{at}".encode()).hexdigest()
    return (f"POST /receiveMsg.action HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nCurTime: {at}\r\n"
            f"MD5: {md5}\r\nCheckSum: {check_sum}\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()


async def answer(reader):
    """The status and the body of one answer whose length is told."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = head.partition("content-length:")[2].split("\r\n")[0]
    return int(head.split()[1]), await reader.readexactly(int(length))


async def watch(port, heard, ready, last):
    """One stream: notes when it hears of each count, until it hears of the last."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {PATH} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
    try:
        while True:
            line = await reader.readline()
            if line.startswith(b"data:"):
                count = json.loads(line[5:])[PEER]
                heard.append((time.monotonic(), count))
                ready.set()
                if count >= last:
                    return
            elif not line:
                raise RuntimeError("a stream ended")
    finally:
        writer.close()


async def write(port, numbers, acked, first_id, began):
    """Posts these messages, each when it falls due."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in numbers:
        await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))
        writer.write(post(number, first_id))
        if (await answer(reader))[0] != 200:
            raise RuntimeError("a copy was not taken")
        acked[number] = time.monotonic()
    writer.close()


async def measure(bed, service, streams, seconds):
    """Opens the streams, looks at the memory, lets the peer write, and waits until everybody has heard of it all."""
    port, messages, first_id = service.process.port, RATE * seconds, bed.fresh_ids(RATE * seconds)
    before = resident_kib(service.process.pids())
    heard = [[] for _ in range(streams)]
    ready = [asyncio.Event() for _ in range(streams)]
    watchers = [asyncio.create_task(watch(port, mine, known, messages)) for mine, known in zip(heard, ready)]
    await asyncio.gather(*(known.wait() for known in ready))
    open_kib = (resident_kib(service.process.pids()) - before) / streams
    acked, began = [0.0] * messages, time.monotonic() + 0.2
    await asyncio.gather(*(write(port, range(n, messages, POSTERS), acked, first_id, began) for n in range(POSTERS)))
    await asyncio.wait_for(asyncio.gather(*watchers), 30)
    busy_kib = (resident_kib(service.process.pids()) - before) / streams
    delays = sorted(delay for mine in heard for delay in delays_of(mine, acked))
    return {"streams": streams, "messages": messages, "open_kib": open_kib, "busy_kib": busy_kib,
            "events": sum(map(len, heard)), "p50": delays[len(delays) // 2] * 1000,
            "p99": delays[len(delays) * 99 // 100] * 1000, "max": delays[-1] * 1000}


def delays_of(heard, acked):
    """From each message's 200 to the first event that counts it; those of one count may be acknowledged in any order."""
    in_order, at = sorted(acked), 0
    for when, count in heard:
        while at < count:
            yield max(0.0, when - in_order[at])
            at += 1


def run(bed):
    """One instance on MongoDB and Redis."""
    bed.servers()
    with ExitStack() as stack:
        service = Service(bed, stack, "streams", on_servers(bed, "streams"), limits__streams_per_reader=2000)
        call(service.address, "GET", f"/v1/unread?self={READER}&users={PEER}")
        return asyncio.run(measure(bed, service, bed.pick(200, 1000), bed.pick(2, 10)))


def markdown(result):
    """The section."""
    said = (f"{result['streams']:,} streams of one reader on one instance, {RATE} messages a second to that reader through "
            f"the webhook, {result['messages']:,} in all. An event goes out at most five times a second, so one tells of "
            f"many messages: {result['events']:,} events. The delay is from a message's 200 to the event that counts it, "
            "for every stream and every message.\n\n")
    row = [f"{result['streams']:,}", tables.number(result["open_kib"]), tables.number(result["busy_kib"]),
           *(tables.number(result[key]) for key in ("p50", "p99", "max"))]
    return said + tables.table(["streams", "KiB each, open", "KiB each, after the writing", "p50 ms", "p99 ms", "max ms"],
                               [row])


def plots(_result):
    """None."""
    return {}
