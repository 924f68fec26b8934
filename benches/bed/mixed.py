"""Polls and webhooks at once, at fixed rates; then the same while a server is restarted."""

import json
import threading
import time
from contextlib import ExitStack

import tables
from load import Target, copies, fill, plan, post, run as run_streams, template
from polls import PEERS, READERS, body
from service import Service, call, on_servers

TITLE = "Polls and webhooks at once"
SCENES = {"nothing happens": None, "Redis restarts, and comes back empty": "redis", "MongoDB restarts": "mongo"}


def streams(bed, service, seconds):
    """Polls of 50 users beside webhooks for the same readers."""
    polls = Target("polls", service.address, template(post("/v1/unread", body(50)), READERS), dict)
    hooks = Target("webhooks", service.address, copies(bed, READERS, PEERS), dict)
    return [plan(polls, 256, seconds, bed.pick(1000, 10_000)), plan(hooks, 256, seconds, bed.pick(50, 500))]


def scene(bed, service, server, seconds):
    """One run; in its middle, the server restarts."""
    gone = []
    timer = threading.Timer(seconds / 2, lambda: gone.append(bed.restart(server)))
    if server:
        timer.start()
    polls, hooks = run_streams(bed, streams(bed, service, seconds))
    if server:
        timer.join()
    return {"polls": polls, "webhooks": hooks, "stopping_seconds": gone[0] if gone else None, "seconds": seconds}


def counted(service):
    """All unread messages of all readers, as polls say; tried again while a server is still coming back."""
    total, users = 0, [f"p{n:07}" for n in range(PEERS)]
    for reader in range(READERS):
        for _ in range(100):
            status, _, text = call(service.address, "POST", "/v1/unread", {"self": f"r{reader:07}", "users": users})
            if status == 200:
                break
            time.sleep(0.1)
        total += sum(json.loads(text).values())
    return total


def run(bed):
    """A calm run, then one with each restart."""
    bed.servers()
    with ExitStack() as stack:
        service = Service(bed, stack, "mixed", on_servers(bed, "mixed"))
        fill(bed, service.address, READERS, PEERS)
        warm = scene(bed, service, None, 2)
        result, acknowledged = {}, READERS * PEERS + warm["webhooks"]["done"]
        for name, server in SCENES.items():
            seconds = bed.pick(6, 20) if server else bed.pick(4, 60)
            result[name] = scene(bed, service, server, seconds)
            acknowledged += result[name]["webhooks"]["done"]
            result[name]["lost"] = max(acknowledged - counted(service), 0)
        return result


def trouble(stream):
    """Seconds in which something was not answered as it should be."""
    return sum(1 for second in stream["by_second"] if second["failed"])


def markdown(result):
    """The section."""
    rows = []
    for name, both in result.items():
        for kind in ("polls", "webhooks"):
            stream = both[kind]
            answers = ", ".join(f"{count} × {what}" for what, count in stream["other_answers"].items())
            rows.append([name, kind, f"{tables.number(stream['rate'])}/s for {both['seconds']} s", f"{stream['done']:,}",
                         answers or "none", trouble(stream), both["lost"] if kind == "webhooks" else "",
                         tables.latency({**stream, "failed": 0})])
    return ("One instance, an open loop for each kind over 256 connections. A copy that is not answered 200 is one "
            "that NetEase sends again; latency is that of good answers. Lost is by how many the "
            "counts fall short of what was answered 200.\n\n"
            + tables.table(["", "", "rate", "good", "other answers", "seconds with any", "lost",
                            "p50 / p99 / p99.9 ms"], rows))


def plots(_result):
    """None."""
    return {}
