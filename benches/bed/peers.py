"""What else could answer a poll: started with the same Redis or MongoDB, on ports of their own."""

import json
import os
import subprocess
import time

from bed import ROOT
from load import Target
from process import cpu_us, free_port

FILES = ROOT / "benches" / "peers"


def libraries(bed):
    """The folders of the unpacked packages' libraries."""
    return [str(path) for within in ("usr/lib", "lib") for path in (bed.peers / within).glob("*-linux-gnu*")]


def unpacked_env(bed):
    """An environment in which unpacked programs find their libraries."""
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries(bed))}


def webdis(bed, stack):
    """HTTP in front of Redis, in C."""
    port = free_port()
    config = bed.folder / "webdis.json"
    config.write_text(json.dumps({
        "redis_host": "127.0.0.1", "redis_port": bed.redis_port, "http_host": "127.0.0.1", "http_port": port,
        "threads": 2, "pool_size": 10, "daemonize": False, "database": 0, "verbosity": 0,
        "logfile": str(bed.folder / "webdis.own.log"), "acl": [{"disabled": []}]}))
    command = [bed.peers / "usr" / "bin" / "webdis", config]
    return bed.start(stack, "webdis", command, port, env=unpacked_env(bed))


def nginx(bed, stack):
    """nginx with Lua and a Redis client in Lua, two workers."""
    port = free_port()
    folder = bed.folder / "nginx"
    folder.mkdir(exist_ok=True)
    text = (FILES / "nginx.conf").read_text()
    # Started by root, its workers would be somebody who may not read the cache.
    user = "user root;" if os.geteuid() == 0 else ""
    values = {"USER": user, "PEERS": bed.peers, "FOLDER": folder, "PORT": port, "REDIS": bed.redis_port, "LUA": FILES / "poll.lua",
              "CPATH": ";".join(f"{path}/lua/5.1/?.so" for path in libraries(bed))}
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    config = folder / "nginx.conf"
    config.write_text(text)
    command = [bed.peers / "usr" / "sbin" / "nginx", "-p", folder, "-e", folder / "error.log", "-c", config]
    return bed.start(stack, "nginx", command, port, env=unpacked_env(bed))


def node(bed, stack):
    """Node with fastify and ioredis, two processes."""
    port = free_port()
    env = {**os.environ, "PORT": str(port), "REDIS_PORT": str(bed.redis_port),
           "NODE_PATH": str(bed.node_modules / "node_modules"), "NODE_ENV": "production"}
    return bed.start(stack, "node", ["node", FILES / "node" / "server.js"], port, env=env)


def tool_server(bed, stack, name, *words):
    """A peer of the tool."""
    port = free_port()
    command = [bed.tool, *words, "--listen", f"127.0.0.1:{port}"]
    return bed.start(stack, name, command, port)


class RedisBenchmark(Target):
    """The same command without HTTP: what Redis itself can do."""

    def measure(self, bed, connections, seconds, rate=None):
        """Throughput; this program has no open loop."""
        before, began = cpu_us([bed.server_pid("redis")]), time.monotonic()
        requests = int(self.notes.get("per_second", 20_000) * seconds)
        done = subprocess.run(
            ["redis-benchmark", "-h", "127.0.0.1", "-p", str(bed.redis_port), "-c", str(connections), "-n",
             str(requests), "--csv", *self.notes["command"]], check=True, text=True, stdout=subprocess.PIPE)
        lasted = time.monotonic() - began
        row = next(line for line in done.stdout.splitlines()[1:] if line)
        fields = [part.strip('"') for part in row.rsplit(",", 7)]
        self.notes["per_second"] = float(fields[1])
        latency = {"p50": float(fields[4]) * 1000, "p90": 0, "p99": float(fields[6]) * 1000, "p999": 0,
                   "max": float(fields[7]) * 1000}
        cpu = (cpu_us([bed.server_pid("redis")]) - before) / requests
        return {"per_second": float(fields[1]), "latency_us": latency, "cpu_us": {"redis": cpu}, "failed": 0,
                "behind": 0, "done": requests, "rate": None, "other_answers": {}, "seconds": lasted}
