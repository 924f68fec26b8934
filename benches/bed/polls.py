"""The poll, side by side: the same ids, the same body, the same counts."""

import json
from contextlib import ExitStack
from functools import partial

import peers
import svg
import tables
from load import Target, closed_loop, fill, open_loop, post, get, template
from service import Service, call, embedded, on_servers

TITLE = "The poll"
READERS, PEERS = 16, 200
FAR = {"unread.near_cache_readers": 0}
OTC, NEAR_ON, MEMORY = "otc-im, Redis", "otc-im, Redis, near cache", "otc-im, memory"
SEED = "one aggregation in MongoDB per poll"
BARE = "bare axum, no store"
RATES = {20: 4000, 50: 4000, 500: 800}


def users(size):
    """As many users: every other one has written, as far as there are so many."""
    return [f"{'pq'[n % 2]}{n // 2:07}" for n in range(size)]


def body(size, reader="r@READER"):
    """What is asked."""
    return {"self": reader, "users": users(size)}


def instances(bed, stack):
    """The service in each of its forms, filled, by name."""
    bed.servers()
    stores = on_servers(bed, "polls")
    services = {OTC: Service(bed, stack, "far", {**stores, **FAR}), NEAR_ON: Service(bed, stack, "near", stores),
                MEMORY: Service(bed, stack, "memory", embedded(bed, "polls"))}
    for name in (OTC, MEMORY):
        fill(bed, services[name].address, READERS, PEERS)
    return services


def hashes(bed):
    """The same counts where the other peers look: a hash for each reader."""
    fields = " ".join(f"p{n:07} 1" for n in range(PEERS))
    bed.redis(lines="".join(f"HSET counts:r{n:07} {fields}\n" for n in range(READERS)))


def as_hashtables(bed):
    """From here on Redis keeps every hash of more than 64 fields as a hashtable: it looks again at each write."""
    bed.redis("CONFIG", "SET", "hash-max-listpack-entries", 64)
    bed.redis(lines="".join(f"HSET {key} p{0:07} 1\n" for n in range(READERS)
                            for key in (f"counts:r{n:07}", f"im:{{r{n:07}}}:n")))


def others(bed, stack):
    """Everybody else who answers the same POST."""
    redis = partial(bed.stores, "redis")
    started = {
        "nginx + Lua": (peers.nginx(bed, stack), redis),
        "Node, fastify + ioredis": (peers.node(bed, stack), redis),
        SEED: (peers.tool_server(bed, stack, "aggregate", "aggregate", "--mongo", bed.mongo_url("polls")),
               partial(bed.stores, "mongo")),
        BARE: (peers.tool_server(bed, stack, "bare", "bare"), dict),
    }
    return started, peers.webdis(bed, stack)


def webdis_target(process, redis, size):
    """webdis is asked by GET, and answers a list."""
    path = "/HMGET/counts%3Ar@READER/" + "/".join(users(size))
    return Target("webdis", process.address, template(get(path), READERS),
                  lambda: {"service": process.pids(), **redis()})


def check_same(services, started):
    """Whoever answers otherwise is not compared."""
    asked = body(50, "r0000003")
    right = None
    addresses = {**{name: service.address for name, service in services.items()},
                 **{name: process.address for name, (process, _) in started.items() if name != BARE}}
    for name, address in addresses.items():
        status, _, text = call(address, "POST", "/v1/unread", asked, {"Content-Type": "application/json"})
        answer = json.loads(text)
        right = right or answer
        if status != 200 or answer != right or sum(answer.values()) != 25:
            raise RuntimeError(f"{name} answered {status}: {text[:200]}")


def targets(bed, services, started, webdis, size):
    """All contestants for a page of this size."""
    redis = partial(bed.stores, "redis")
    source = template(post("/v1/unread", body(size)), READERS)
    stores = {OTC: redis, NEAR_ON: redis, MEMORY: dict}
    mine = [Target(name, service.address, source, partial(joined, service.pids, stores[name]))
            for name, service in services.items()]
    theirs = [Target(name, process.address, source, partial(joined, process.pids, store))
              for name, (process, store) in started.items()]
    raw = peers.RedisBenchmark("redis-benchmark, no HTTP", "", {}, dict)
    raw.notes["command"] = ["HMGET", "counts:r0000003", *users(size)]
    return [*mine, webdis_target(webdis, redis, size), *theirs, raw]


def joined(pids, stores):
    """The processes of a service and of its stores."""
    return {"service": pids(), **stores()}


def run(bed):
    """All sizes."""
    with ExitStack() as stack:
        services = instances(bed, stack)
        hashes(bed)
        started, webdis = others(bed, stack)
        check_same(services, started)
        sizes = {}
        for size, rate in RATES.items():
            contestants = targets(bed, services, started, webdis, size)
            closed = closed_loop(bed, contestants, 64, bed.pick(1, 3), bed.pick(0.5, 1.5))
            fixed = [t for t in contestants if not isinstance(t, peers.RedisBenchmark)]
            opened = open_loop(bed, fixed, bed.pick(rate // 4, rate), bed.pick(1, 2), bed.pick(0.7, 2.5))
            sizes[str(size)] = {"closed": closed, "open": opened}
        as_hashtables(bed)
        on_redis = [target for target in targets(bed, services, started, webdis, 50) if "redis" in target.processes()]
        hashtables = closed_loop(bed, on_redis, 64, bed.pick(1, 3), bed.pick(0.5, 1.5))
        return {"sizes": sizes, "hashtables": hashtables}


def markdown(result):
    """The section."""
    parts = [
        "`POST /v1/unread`: own id and so many user ids in, a JSON map out; every reader has unread messages from "
        f"{PEERS} people, and every other id asked for is one of them. 64 connections in a closed loop for the "
        "throughput; the latencies are from an open loop over 256 connections and count from the moment at which "
        "a request fell due."]
    for size, both in result["sizes"].items():
        rate = next(iter(both["open"].values()))["rate"]
        parts += [f"### {size} users", tables.comparison(both["closed"], both["open"]),
                  f"The fixed rate is {tables.number(rate)}/s. {compared(both['closed'])}"]
    parts += ["### 50 users, with `hash-max-listpack-entries 64`",
              "As Redis comes, it keeps a hash of up to 512 fields as one list, and looks through it for each user asked "
              "for. With this setting, which [operations.md](operations.md#redis) recommends, everybody who asks Redis "
              "gains.", tables.comparison(result["hashtables"], {}), compared(result["hashtables"])]
    return "\n\n".join(parts)


def compared(closed):
    """The ratios of this run."""
    rivals = ["webdis", "nginx + Lua", "Node, fastify + ioredis", SEED, BARE]
    return " ".join(tables.ratios(name, rivals, closed) for name in (NEAR_ON, OTC))


def plots(result):
    """Throughput and processor time of a page of 50."""
    closed = result["sizes"]["50"]["closed"]
    rate = {name: values["per_second"]["median"] for name, values in closed.items()}
    cpu = {name: sum(values["cpu_us"].values()) for name, values in closed.items()}
    return {
        "poll": svg.bars("Polls of 50 users, requests a second", rate, "otc-im"),
        "poll-cpu": svg.bars("Polls of 50 users, CPU-µs per request, stores included", cpu, "otc-im"),
    }
