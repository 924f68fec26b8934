"""Processes that the bed starts: each in a session of its own, and ended by its own id."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")


def free_port():
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    """Whether somebody does."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def cpu_us(pids):
    """Processor time, in microseconds, that these processes have used."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total * TICK_US


def resident_kib(pids):
    """Resident memory of these processes together."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total


def children(pid):
    """Ids of the processes that this one has started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


class Process:
    """A running program that listens on `port`."""

    def __init__(self, command, log, port, env=None, cwd=None):
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self.log = Path(log)
        with self.log.open("ab") as out:
            self.child = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env=env, cwd=cwd, start_new_session=True)

    def wait_for_port(self, seconds=30):
        """Returns once the port answers."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.child.poll() is not None:
                break
            if listens(self.port):
                return self
            time.sleep(0.002)
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])
        raise RuntimeError(f"{self.child.args[0]} is not listening on {self.port}:\n{tail}")

    def pids(self):
        """Its id and those of its workers."""
        return [self.child.pid, *children(self.child.pid)]

    def stop(self):
        """Ends it with its workers."""
        if self.child.poll() is None:
            workers = children(self.child.pid)
            self.child.terminate()
            try:
                self.child.wait(15)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
            for pid in workers:
                end(pid)


def end(pid):
    """Ends a worker that outlived the process that started it."""
    deadline = time.monotonic() + 5
    try:
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
