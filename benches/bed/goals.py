"""What was aimed at, beside what came of it: computed from the rows, so that neither can be forgotten."""

import fresh
import mixed
import polls
import tables
import webhooks


def rate(closed, name):
    """Requests a second."""
    return closed[name]["per_second"]["median"]


def ratio(closed, mine, other):
    """How many times as many requests a second."""
    return f"{rate(closed, mine) / rate(closed, other):.2f} ×"


def of_polls(result):
    """Goals of the poll."""
    closed, near, straight = result["sizes"]["50"]["closed"], polls.NEAR_ON, polls.OTC
    service, bare = (closed[name]["cpu_us"]["service"] for name in (near, polls.BARE))
    return [
        ["poll of 50, near cache, throughput against webdis", "≥ 4 ×", ratio(closed, near, "webdis")],
        ["the same against nginx + Lua", "≥ 5 ×", ratio(closed, near, "nginx + Lua")],
        ["the same, CPU of the service against bare axum", "≤ 1.3 ×", f"{service / bare:.2f} ×"],
        ["poll of 50, straight from Redis, throughput against webdis", "≥ 2 ×", ratio(closed, straight, "webdis")],
        ["the same, CPU of the service", "≤ 12 µs", f"{tables.number(closed[straight]['cpu_us']['service'])} µs"],
    ]


def of_mixed(result):
    """Goals of polls and webhooks at once."""
    calm = next(iter(mixed.SCENES))
    p99 = result[calm]["polls"]["latency_us"]["p99"]
    return [["p99 of polls beside webhooks", "≤ 3 ms", f"{tables.millis(p99)} ms"]]


def of_fresh(result):
    """Goals of freshness."""
    return [[f"the latest stale answer after a webhook's 200, {fresh.NAMES[name]}", goal,
             f"{tables.number(result[name]['max']) if result[name]['max'] else 0} ms"]
            for name, goal in (("same", "none"), ("other", "≤ 50 ms"))]


def of_webhooks(result):
    """Goals of the webhook."""
    mine, naive = webhooks.OTC, webhooks.NAIVE
    closed = result["closed"]
    return [
        ["webhook, 256 connections, against naive", "≥ 4.5 ×", ratio(closed["256"], mine, naive)],
        ["the same against verifying and parsing alone", "≥ 0.33 ×", ratio(closed["256"], mine, webhooks.NOTHING)],
        ["webhook, 64 connections, against naive", "≥ 2.7 ×", ratio(closed["64"], mine, naive)],
        ["a message that comes alone, against naive", "≥ 1 ×", ratio(closed["1"], mine, naive)],
    ]


def of_growth(result):
    """Goals of growth: the time of a poll is the inverse of the throughput."""
    first, *_, last = result["peers"]
    return [[f"poll of 50, from {first} to {int(last):,} people with unread messages, {how}", "≤ 1.5 × the time",
             f"{rate(result[row], first) / rate(result[row], last):.2f} ×"]
            for row, how in (("peers", "near cache"), ("straight", "straight from Redis"))]


GOALS = {"poll": of_polls, "mixed": of_mixed, "fresh": of_fresh, "webhook": of_webhooks, "growth": of_growth}


def markdown(results):
    """A line for each goal whose row was measured."""
    rows = [line for name, goals in GOALS.items() if name in results for line in goals(results[name]["result"])]
    return ("## Aimed at and reached\n\nWhy some goals were not bought is told in "
            "[decision 10](adr/0010-speed-not-bought.md).\n\n" + tables.table(["", "goal", "reached"], rows))
