"""Runs the rows that were asked for. scripts/bench calls this with the programs in the environment."""

import signal
import sys
import time
import traceback

import binds
import document
import fresh
import growth
import machine
import mixed
import polls
import profiles
import startup
import streams
import variants
import webhooks
from bed import Bed

ROWS = {"poll": polls, "variants": variants, "webhook": webhooks, "bind": binds, "growth": growth, "mixed": mixed,
        "fresh": fresh, "startup": startup, "stream": streams,
        "profile": profiles}


def main(words):
    """`short`, and names of rows; none means all."""
    short = "short" in words
    names = [word for word in words if word != "short"]
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        print(f"bench: there is no row {unknown[0]}; there are {', '.join(ROWS)}", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    results, failed = document.earlier(short), []
    for name in names or ROWS:
        began = time.monotonic()
        print(f"== {name}", flush=True)
        try:
            with Bed(short) as bed:
                result = ROWS[name].run(bed)
                results[name] = {"machine": machine.describe(bed), "result": result}
        except Exception:
            # One row that fails takes no other with it.
            traceback.print_exc()
            print(f"== {name} FAILED", file=sys.stderr)
            failed.append(name)
            continue
        print(ROWS[name].markdown(result))
        print(f"== {name} took {time.monotonic() - began:.0f} s", flush=True)
        written = document.save(ROWS, results, short)
        print(f"== written to {written.relative_to(document.ROOT)}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
