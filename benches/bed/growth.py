"""How a poll grows: with the page, with the reader's backlog, with the number of readers."""

from contextlib import ExitStack
from functools import partial

import svg
import tables
from load import Target, closed_loop, post, template
from polls import FAR, body, joined
from process import resident_kib
from service import Service, on_servers

TITLE = "How it grows"
PAGES = (1, 10, 50, 100, 200, 500)


def poll(bed, service, name, size, readers):
    """Throughput, processor time and latency of one kind of poll."""
    target = Target(name, service.address, template(post("/v1/unread", body(size)), readers),
                    partial(joined, service.pids, partial(bed.stores, "redis")))
    return closed_loop(bed, [target], 64, bed.pick(1, 2), bed.pick(0.4, 1.2))[name]


def memory(bed):
    """Bytes that Redis uses."""
    said = bed.redis("INFO", "memory").splitlines()
    return int(next(line for line in said if line.startswith("used_memory:")).partition(":")[2])


def filled(bed, readers, peers, per_pair, start=0):
    """Puts readers into the view; the bytes that they took."""
    if start == 0:
        bed.redis("FLUSHALL")
    before = memory(bed)
    bed.run_tool("fill", "--redis", bed.redis_url, "--readers", readers, "--from", start, "--peers", peers,
                 "--per-pair", per_pair)
    return memory(bed) - before


def pages(bed, service):
    """Users on a page."""
    filled(bed, 16, 200, 1)
    return {str(size): poll(bed, service, f"{size} users", size, 16) for size in PAGES}


def backlogs(bed, service, far):
    """Peers with unread messages, one each, without a near cache, too; then messages of one pair. One reader."""
    peers, straight, pairs = {}, {}, {}
    for count in bed.pick((0, 100, 10_000), (0, 10, 100, 1000, 10_000, 100_000)):
        size = filled(bed, 1, count, 1)
        peers[str(count)] = {**poll(bed, service, f"{count} peers", 50, 1), "bytes": size}
        straight[str(count)] = poll(bed, far, f"{count} peers", 50, 1)
    for count in bed.pick((1, 1000), (1, 10, 100, 1000, 10_000, 100_000)):
        size = filled(bed, 1, 1, count)
        pairs[str(count)] = {**poll(bed, service, f"{count} messages", 50, 1), "bytes": size / count}
    return {"peers": peers, "straight": straight, "pairs": pairs}


def readers(bed, service):
    """Readers in the view, three peers each; every one of them has polled."""
    result, so_far, size = {}, 0, 0
    for count in bed.pick((1000, 5000), (1000, 10_000, 100_000, 1_000_000)):
        size += filled(bed, count - so_far, 3, 1, so_far)
        so_far = count
        before = resident_kib(service.pids())
        everybody = Target("everybody", service.address, template(post("/v1/unread", body(3)), count), dict)
        everybody.measure(bed, 64, count / 20_000 + 0.5)
        shown = poll(bed, service, f"{count} readers", 50, count)
        result[str(count)] = {**shown, "bytes": size / count, "resident_mib": resident_kib(service.pids()) / 1024,
                              "grown_mib": (resident_kib(service.pids()) - before) / 1024}
    return result


def run(bed):
    """A service with a near cache and one without, on a view that is filled in one way after the other."""
    bed.servers()
    bed.redis("CONFIG", "SET", "hash-max-listpack-entries", 64)
    with ExitStack() as stack:
        stores = on_servers(bed, "growth")
        service, far = Service(bed, stack, "growth", stores), Service(bed, stack, "growth-far", {**stores, **FAR})
        result = {"pages": pages(bed, service), **backlogs(bed, service, far), "readers": readers(bed, service)}
        bed.redis("FLUSHALL")
        return result


def rows(values, *more):
    """A line for each step."""
    def extra(result):
        return [tables.number(result[name]) for name in more]
    return [[f"{int(step):,}", tables.spread(result["per_second"]), tables.cpu(result),
             f"{tables.millis(result['latency_us']['p50'])} / {tables.millis(result['latency_us']['p99'])}",
             *extra(result)] for step, result in values.items()]


def markdown(result):
    """The section."""
    head = ["requests/s (least–most)", "CPU-µs per request", "p50 / p99 ms, closed loop"]
    return "\n\n".join([
        "otc-im on Redis with a near cache, 64 connections in a closed loop. The view is filled directly, as a load from "
        "the log fills it; Redis has `hash-max-listpack-entries 64`.",
        "### Users on the page", tables.table(["users", *head], rows(result["pages"])),
        "### People from whom the reader has unread messages, one each; a page of 50",
        tables.table(["people", *head, "bytes in Redis"], rows(result["peers"], "bytes")),
        "### The same without a near cache", tables.table(["people", *head], rows(result["straight"])),
        "### Unread messages of one pair; a page of 50",
        tables.table(["messages", *head, "bytes in Redis per message"], rows(result["pairs"], "bytes")),
        "### Readers in the view, three unread messages each; pages of 50, readers in turn",
        tables.table(["readers", *head, "bytes in Redis per reader", "MiB resident"],
                     rows(result["readers"], "bytes", "resident_mib")),
    ])


def plots(result):
    """Throughput over the page, and over the two kinds of backlog."""
    def rate(values):
        return [one["per_second"]["median"] for one in values.values()]
    return {
        "growth-page": svg.lines("Polls a second, by users on the page", list(result["pages"]),
                                 {"near cache": rate(result["pages"])}),
        "growth-backlog": svg.lines("Polls of 50 users a second, by people with unread messages",
                                    list(result["peers"]), {"near cache": rate(result["peers"]), "straight from Redis": rate(result["straight"])}),
    }
