"""The webhook: the service beside a naive endpoint with the same durability, and beside the driver alone."""

import json
from contextlib import ExitStack
from functools import partial

import peers
import svg
import tables
from bed import SECRET
from load import Target, closed_loop, copies, open_loop, spread
from polls import joined
from process import cpu_us
from service import Service, embedded, on_servers

TITLE = "The webhook"
OTC, NAIVE = "otc-im, MongoDB + Redis", "naive, MongoDB + Redis"
OTC_EMBEDDED, NAIVE_EMBEDDED = "otc-im, SQLite + memory", "naive, SQLite + memory"
NOTHING = "verify and parse only"
CONNECTIONS = (1, 64, 256)
DRIVER = {"insert_one, 1 at a time": (1, 1), "insert_one, 64 at a time": (64, 1),
          "insert_many of 50, 1 at a time": (1, 50), "insert_many of 200, 2 at a time": (2, 200)}


class Webhook(Target):
    """Each measurement posts messages that nobody has posted."""

    def measure(self, bed, connections, seconds, rate=None):
        """Posts new messages."""
        self.source = copies(bed, 1000, 50)
        return super().measure(bed, connections, seconds, rate)


def targets(bed, stack):
    """All endpoints."""
    both = partial(bed.stores, "mongo", "redis")
    naive = ["naive-webhook", "--secret", SECRET]
    start = partial(peers.tool_server, bed, stack)
    endpoints = {
        OTC: (Service(bed, stack, "webhook", on_servers(bed, "webhooks")), both),
        NAIVE: (start("naive", *naive, "--mongo", bed.mongo_url("naive"), "--redis", bed.redis_url), both),
        OTC_EMBEDDED: (Service(bed, stack, "webhook-embedded", embedded(bed, "webhooks")), dict),
        NAIVE_EMBEDDED: (start("naive-embedded", *naive, "--sqlite", f"sqlite:{bed.folder}/naive.db"), dict),
        NOTHING: (start("verify", *naive), dict),
    }
    return [Webhook(name, process.address, {}, partial(joined, process.pids, stores))
            for name, (process, stores) in endpoints.items()]


def driver(bed, rounds, seconds):
    """The driver alone, in interleaved rounds."""
    runs = {name: [] for name in DRIVER}
    for _ in range(rounds):
        for name, (tasks, batch) in DRIVER.items():
            before = cpu_us([bed.server_pid("mongo")])
            result = json.loads(bed.run_tool(
                "raw-mongo", "--mongo", bed.mongo_url("driver"), "--tasks", tasks, "--batch", batch, "--seconds",
                seconds, "--first-id", bed.fresh_ids(2_000_000)))
            result["mongo_us"] = (cpu_us([bed.server_pid("mongo")]) - before) / max(result["documents"], 1)
            runs[name].append(result)
    return {name: {
        "documents_per_second": spread([result["documents_per_second"] for result in results]),
        "p50": results[-1]["latency_us"]["p50"], "p99": results[-1]["latency_us"]["p99"],
        "mongo_us": spread([result["mongo_us"] for result in results])["median"],
    } for name, results in runs.items()}


def run(bed):
    """Closed loops at several widths, an open loop, and the driver."""
    bed.servers()
    rounds, seconds = bed.pick(1, 3), bed.pick(0.5, 1.5)
    with ExitStack() as stack:
        endpoints = targets(bed, stack)
        closed = {str(width): closed_loop(bed, endpoints, width, rounds, seconds) for width in CONNECTIONS}
        opened = open_loop(bed, endpoints, bed.pick(200, 1000), bed.pick(1, 2), bed.pick(1, 3))
    return {"closed": closed, "open": opened, "driver": driver(bed, rounds, seconds)}


def markdown(result):
    """The section."""
    rate = next(iter(result["open"].values()))["rate"]
    parts = ["`POST /receiveMsg.action` with signed copies of about 430 bytes, each of another message, among 1,000 "
             "readers and 50 peers. A copy is answered once it is durable: journaled by a majority in MongoDB, on disk "
             "in SQLite. The naive endpoint does the same with one insert and one script for each copy."]
    for width, closed in result["closed"].items():
        opened = result["open"] if width == "256" else {}
        parts.append(f"### {width} connection{'s' if width != '1' else ''}")
        parts.append(tables.comparison(closed, opened))
        parts.append(" ".join([tables.ratios(OTC, [NAIVE, NOTHING], closed),
                               tables.ratios(OTC_EMBEDDED, [NAIVE_EMBEDDED], closed)]))
    parts.append(f"The fixed rate is {tables.number(rate)}/s.")
    rows = [[name, tables.spread(values["documents_per_second"]), tables.number(values["mongo_us"]),
             f"{tables.millis(values['p50'])} / {tables.millis(values['p99'])}"]
            for name, values in result["driver"].items()]
    parts += ["### The driver alone", tables.table(
        ["", "documents/s (least–most)", "CPU-µs of MongoDB per document", "p50 / p99 ms of a write"], rows)]
    return "\n\n".join(parts)


def plots(result):
    """Throughput over the number of connections."""
    names = [OTC, NAIVE, OTC_EMBEDDED, NAIVE_EMBEDDED]
    series = {name: [result["closed"][str(width)][name]["per_second"]["median"] for width in CONNECTIONS]
              for name in names}
    return {"webhook": svg.lines("Webhooks a second, by connections", CONNECTIONS, series)}
