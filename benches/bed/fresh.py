"""How old an answer can be: one instance takes a message in, and the same one and another are asked.

An answer is stale if it came after the message's 200 and does not count it. Beside the trials, both instances are under
load, so that they do not wait for this alone.
"""

import asyncio
import json
import threading
import time
from contextlib import ExitStack

import tables
from load import Target, copies, plan, post, run as run_streams, template
from polls import PEERS, READERS, body
from service import Service, on_servers
from streams import PEER, READER, answer, post as copy

TITLE = "How soon a message counts"
NAMES = {"same": "the same instance", "other": "another instance"}
LOAD = {"polls": 2000, "webhooks": 200}


async def ask(reader, writer):
    """The count that one poll answers."""
    writer.write(post("/v1/unread", {"self": READER, "users": [PEER]}).encode())
    _, text = await answer(reader)
    return json.loads(text)[PEER]


async def trials(same, other, first_id, stopped):
    """For each message, how long after its 200 the last stale answer came, from the same instance and from the other."""
    ways = [await asyncio.open_connection("127.0.0.1", service.process.port) for service in (same, other)]
    hook = await asyncio.open_connection("127.0.0.1", same.process.port)
    for way in ways:
        await ask(*way)
    stale, number = {"same": [], "other": []}, 0
    while not stopped.is_set():
        number += 1
        hook[1].write(copy(number, first_id))
        if (await answer(hook[0]))[0] != 200:
            raise RuntimeError("a copy was not taken")
        taken = time.monotonic()
        ages = await asyncio.gather(*(last_stale(way, number, taken) for way in ways))
        for name, age in zip(stale, ages):
            stale[name].append(age)
        await asyncio.sleep(0.01)
    return stale


async def last_stale(way, number, taken):
    """Milliseconds after which the last answer without that message came; 0 if all had it."""
    age = 0.0
    while await ask(*way) < number:
        age = time.monotonic() - taken
    return age * 1000


def run(bed):
    """Two instances over the same stores."""
    bed.servers()
    seconds = bed.pick(4, 20)
    with ExitStack() as stack:
        stores = on_servers(bed, "fresh")
        same, other = (Service(bed, stack, f"fresh-{n}", stores) for n in range(2))
        polls = [Target("polls", service.address, template(post("/v1/unread", body(50)), READERS), dict)
                 for service in (same, other)]
        hooks = Target("webhooks", same.address, copies(bed, READERS, PEERS), dict)
        load = [*(plan(target, 64, seconds, LOAD["polls"]) for target in polls),
                plan(hooks, 64, seconds, LOAD["webhooks"])]
        stopped = threading.Event()

        def background():
            try:
                run_streams(bed, load)
            finally:
                stopped.set()

        thread = threading.Thread(target=background)
        thread.start()
        try:
            stale = asyncio.run(trials(same, other, bed.fresh_ids(1_000_000), stopped))
        finally:
            thread.join()
    return {name: summary(sorted(ages)) for name, ages in stale.items()}


def summary(ages):
    """Of how many trials, how many had a stale answer, and how late the last of each came."""
    return {"trials": len(ages), "stale": sum(1 for age in ages if age > 0), "p50": ages[len(ages) // 2],
            "p99": ages[len(ages) * 99 // 100], "max": ages[-1]}


def markdown(result):
    """The section."""
    rows = [[NAMES[name], f"{values['trials']:,}", values["stale"],
             *(tables.number(values[key]) if values[key] else "0" for key in ("p50", "p99", "max"))]
            for name, values in result.items()]
    return (f"One message at a time through the webhook of one instance; after its 200, polls of both without a pause until "
            f"each counts it. Shown is how long after the 200 the last answer without it came. Beside that, both instances "
            f"answer {tables.number(LOAD['polls'])} polls of 50 users a second and take {LOAD['webhooks']} webhooks a second.\n\n"
            + tables.table(["asked is", "messages", "with any stale answer", "p50 ms", "p99 ms", "max ms"], rows))


def plots(_result):
    """None."""
    return {}
