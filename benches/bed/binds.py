"""Binding a user who is known: no call to NetEase, no look at the database."""

from contextlib import ExitStack
from functools import partial

import tables
from bed import SECRET
from load import Target, closed_loop, cycle, open_loop, post
from polls import joined
from process import free_port
from service import Service, call, embedded

TITLE = "Binding a known user"
USERS = 16


def run(bed):
    """Binds once, then again and again."""
    with ExitStack() as stack:
        port = free_port()
        bed.start(stack, "simulator", [bed.service, "simulator", "--listen", f"127.0.0.1:{port}",
                                       "--webhook-url", "http://127.0.0.1:9/", "--app-secret", SECRET], port)
        more = {"netease__base_url": f"http://127.0.0.1:{port}/nimserver"}
        service = Service(bed, stack, "bind", embedded(bed, "bind"), **more)
        asked = [{"buyer": f"buyer{n}", "buyerName": "A buyer", "seller": f"seller{n}"} for n in range(USERS)]
        for one in asked:
            status, _, text = call(service.address, "POST", "/v1/accounts/bind", one)
            if status != 200:
                raise RuntimeError(f"a bind was answered {status}: {text}")
        target = Target("bind of a known user", service.address,
                        cycle([post("/v1/accounts/bind", one) for one in asked]),
                        partial(joined, service.pids, dict))
        return {"closed": closed_loop(bed, [target], 64, bed.pick(1, 3), bed.pick(0.5, 1.5)),
                "open": open_loop(bed, [target], bed.pick(500, 4000), 1, bed.pick(0.7, 2.5))}


def markdown(result):
    """The section."""
    rate = tables.number(next(iter(result["open"].values()))["rate"])
    return (f"`POST /v1/accounts/bind` of {USERS} pairs that are bound already, answered from memory; 64 connections, "
            f"and an open loop at {rate}/s.\n\n{tables.comparison(result['closed'], result['open'])}")


def plots(_result):
    """None."""
    return {}
