"""The ground that all rows stand on: servers, programs, a folder, and how long each measurement takes."""

import os
import re
import shlex
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from process import Process, listens

ROOT = Path(__file__).resolve().parents[2]
SECRET = "bench_app_secret_0123456789abcdef"


class Bed:
    """Holds what the rows share; everything that it started ends with it."""

    def __init__(self, short):
        self.short = short
        self.tool = os.environ["BENCH_TOOL"]
        self.service = os.environ["BENCH_SERVICE"]
        self.peers = Path(os.environ["BENCH_PEERS"])
        self.node_modules = Path(os.environ["BENCH_NODE"])
        self.stack = ExitStack()
        self.messages = 0
        self.urls = {}

    def __enter__(self):
        folder = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="otc-im-bench."))
        self.folder = Path(folder)
        return self

    def __exit__(self, *why):
        self.stack.close()

    def pick(self, short, full):
        """One value for a short run and another for a full one."""
        return short if self.short else full

    def servers(self):
        """Starts MongoDB and Redis the first time they are asked for."""
        if self.urls:
            return
        at = self.folder / "servers"
        scripts = ROOT / "scripts" / "servers"
        self.stack.callback(subprocess.run, [scripts, "stop", at], check=False)
        started = subprocess.run([scripts, "start", at, "mongo", "redis"], check=True, text=True,
                                 stdout=subprocess.PIPE, start_new_session=True)
        for line in started.stdout.splitlines():
            name, _, url = line.removeprefix("export ").partition("=")
            self.urls[name] = shlex.split(url)[0]
        self.redis_port = int(self.redis_url.rpartition(":")[2])

    @property
    def redis_url(self):
        """Where Redis is."""
        return self.urls["TEST_REDIS_URL"]

    def mongo_url(self, database):
        """A database in MongoDB."""
        host, _, options = self.urls["TEST_MONGO_URL"].partition("/?")
        return f"{host}/{database}?{options}"

    def server_pid(self, name):
        """The id of `mongo` or `redis`."""
        return int((self.folder / "servers" / f"{name}.pid").read_text())

    def stores(self, *names):
        """The processes of these servers, for the share that they take of the work."""
        return {name: [self.server_pid(name)] for name in names}

    def restart(self, name):
        """Ends a server and starts it again as it was; the seconds until it listens again."""
        pid = self.server_pid(name)
        command = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        program = os.readlink(f"/proc/{pid}/exe")
        began = time.monotonic()
        os.kill(pid, 15)
        while Path(f"/proc/{pid}").exists():
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                break
            time.sleep(0.01)
        with (self.folder / "servers" / f"{name}.log").open("ab") as log:
            again = subprocess.Popen(command, executable=program, stdin=subprocess.DEVNULL, stdout=log,
                                     stderr=log, start_new_session=True)
        (self.folder / "servers" / f"{name}.pid").write_text(str(again.pid))
        port = int(re.search(r":(\d+)", self.urls[f"TEST_{name.upper()}_URL"])[1])
        while not listens(port):
            time.sleep(0.01)
        return time.monotonic() - began

    def redis(self, *words, lines=None):
        """What redis-cli says."""
        command = ["redis-cli", "-h", "127.0.0.1", "-p", str(self.redis_port), *map(str, words)]
        return subprocess.run(command, input=lines, check=True, text=True, stdout=subprocess.PIPE).stdout

    def run_tool(self, *words, text=None):
        """What the tool prints."""
        done = subprocess.run([self.tool, *map(str, words)], input=text, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{words[0]}: {done.stderr.strip()[-400:]}")
        return done.stdout

    def start(self, stack, name, command, port, **more):
        """Starts a program that ends with `stack`, and waits until it listens."""
        process = Process(command, self.folder / f"{name}.log", port, **more)
        stack.callback(process.stop)
        return process.wait_for_port()

    def fresh_ids(self, count):
        """The first of so many message ids that nobody has had."""
        first = 1_000_000_000_000 + self.messages
        self.messages += count
        return first
