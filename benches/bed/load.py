"""Runs the load generator and puts rounds together."""

import json
from dataclasses import dataclass, field
from statistics import median
from typing import Callable

from bed import SECRET
from process import cpu_us


@dataclass
class Target:
    """Something that answers requests, and the processes that work for it."""

    name: str
    address: str
    source: dict
    processes: Callable[[], dict]
    expect: int = 200
    notes: dict = field(default_factory=dict)

    def measure(self, bed, connections, seconds, rate=None):
        """One run: throughput, latency, and what each process spent on a request."""
        stream = plan(self, connections, seconds, rate)
        processes = self.processes()
        before = {name: cpu_us(pids) for name, pids in processes.items()}
        result = run(bed, [stream])[0]
        done = max(result["done"], 1)
        result["cpu_us"] = {name: (cpu_us(pids) - before[name]) / done for name, pids in processes.items()}
        return result


def plan(target, connections, seconds, rate=None, limit=None):
    """One stream of the generator's plan."""
    return {"name": target.name, "address": target.address, "connections": connections, "seconds": seconds,
            "rate": rate, "limit": limit, "expect": target.expect, "source": target.source}


def run(bed, streams):
    """Runs these streams at once."""
    return json.loads(bed.run_tool("load", text=json.dumps({"streams": streams})))["streams"]


def spread(values):
    """Least, middle and greatest."""
    return {"min": min(values), "median": median(values), "max": max(values)}


def closed_loop(bed, targets, connections, rounds, seconds):
    """Throughput of each target in interleaved rounds: A B C A B C…"""
    runs = {target.name: [] for target in targets}
    for target in targets:
        target.measure(bed, connections, min(0.3, seconds))
    for _ in range(rounds):
        for target in targets:
            runs[target.name].append(target.measure(bed, connections, seconds))
    return {name: summary(results) for name, results in runs.items()}


def open_loop(bed, targets, rate, rounds, seconds, connections=256):
    """Latency of each target at a fixed rate, counted from when each request fell due."""
    runs = {target.name: [] for target in targets}
    for _ in range(rounds):
        for target in targets:
            runs[target.name].append(target.measure(bed, connections, seconds, rate))
    return {name: summary(results) for name, results in runs.items()}


def summary(results):
    """Puts the rounds of one target together."""
    latency = {name: median([result["latency_us"][name] for result in results])
               for name in results[0]["latency_us"]}
    cpu = {name: median([result["cpu_us"][name] for result in results]) for name in results[0]["cpu_us"]}
    return {
        "per_second": spread([result["per_second"] for result in results]),
        "latency_us": latency,
        "cpu_us": cpu,
        "failed": sum(result["failed"] for result in results),
        "behind": sum(result["behind"] for result in results),
        "done": sum(result["done"] for result in results),
        "rate": results[0]["rate"],
        "other_answers": [result["other_answers"] for result in results if result["other_answers"]],
    }


def post(path, body, headers=""):
    """A POST as it goes over the wire."""
    text = json.dumps(body, separators=(",", ":"))
    return (f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n{headers}"
            f"Content-Length: {len(text)}\r\n\r\n{text}")


def get(path, headers=""):
    """A GET as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n{headers}\r\n"


def template(text, readers):
    """One request for many readers."""
    return {"kind": "template", "text": text, "readers": readers}


def cycle(requests):
    """A few requests in turn."""
    return {"kind": "cycle", "requests": requests}


def copies(bed, readers, peers, room=2_000_000):
    """A source of message copies, each new."""
    first = bed.fresh_ids(room)
    return {"kind": "copies", "secret": SECRET, "readers": readers, "peers": peers, "first_id": first,
            "at": 1_700_000_000_000 + first - 1_000_000_000_000}


def fill(bed, address, readers, peers):
    """Posts one message for each pair, and sees to it that all were taken."""
    count = readers * peers
    target = Target("fill", address, copies(bed, readers, peers), dict)
    # Room for the slowest disk.
    result = run(bed, [plan(target, 64, 120, limit=count)])[0]
    if result["done"] != count:
        raise RuntimeError(f"of {count} messages {result['done']} were taken: {result['other_answers']}")
