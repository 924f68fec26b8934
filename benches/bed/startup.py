"""How soon an instance is ready, and what it keeps resident."""

import time
from contextlib import ExitStack

import tables
from load import Target, post, template
from polls import body
from process import resident_kib
from service import Service, call, embedded, on_servers

TITLE = "Start and memory"


def start(bed, name, stores):
    """Milliseconds to the first 200 of /readyz, the start of the process included; memory then and after polls."""
    with ExitStack() as stack:
        service = Service(bed, stack, f"start-{name}", stores)
        service.process.stop()
        # The schemas are there now: this is the start that counts.
        command, env = service.process.child.args, service.env
        began = time.monotonic()
        process = bed.start(stack, f"again-{name}", command, service.process.port, env=env, cwd=bed.folder)
        while call(process.address, "GET", "/readyz")[0] != 200:
            time.sleep(0.002)
        ready = time.monotonic() - began
        time.sleep(0.3)
        idle = resident_kib(process.pids())
        readers = bed.pick(2000, 100_000)
        everybody = Target("everybody", process.address, template(post("/v1/unread", body(20)), readers), dict)
        done = everybody.measure(bed, 64, bed.pick(1, 10))
        return {"ready_ms": ready * 1000, "idle_mib": idle / 1024, "readers": min(readers, done["done"]),
                "polled_mib": resident_kib(process.pids()) / 1024}


def run(bed):
    """Both sets of stores, several starts each."""
    bed.servers()
    sets = {"MongoDB + Redis": on_servers(bed, "startup"), "SQLite + memory": embedded(bed, "startup")}
    return {name: [start(bed, f"{name[:5]}{n}", stores) for n in range(bed.pick(1, 3))]
            for name, stores in sets.items()}


def markdown(result):
    """The section."""
    rows = []
    for name, starts in result.items():
        def shown(key, starts=starts):
            values = sorted(one[key] for one in starts)
            return tables.number(values[len(values) // 2])
        rows.append([name, shown("ready_ms"), shown("idle_mib"), shown("polled_mib"), f"{starts[0]['readers']:,}"])
    return ("From the start of the process to the first 200 of `/readyz`, with schemas in place; resident memory idle, "
            "and after polls of 20 users by so many readers whom the view did not know.\n\n"
            + tables.table(["stores", "ms to ready", "MiB idle", "MiB after the polls", "readers"], rows))


def plots(_result):
    """None."""
    return {}
