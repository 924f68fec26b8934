"""The machine, the programs and the commit that figures belong to."""

import json
import os
import platform
import subprocess
import time
from pathlib import Path

from bed import ROOT


def said(*command, **more):
    """What a program prints, or a dash if it is not there."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more)
    except FileNotFoundError:
        return "–"
    return done.stdout.strip()


def field(path, name):
    """The value of a line such as `name : value`."""
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return "–"


def commit():
    """The commit, and whether the tree has changes beside it."""
    changed = said("git", "status", "--porcelain", "--untracked-files=no", cwd=ROOT)
    return said("git", "rev-parse", "--short=12", "HEAD", cwd=ROOT) + (", with changes" if changed else "")


def package(bed, name):
    """The version of an unpacked package."""
    for line in (bed.peers / "packages").read_text().splitlines():
        if line.startswith(f"{name}_"):
            return line.split("_")[1].replace("%3a", ":")
    return "–"


def describe(bed):
    """All of it."""
    node = json.loads((bed.node_modules / "package.json").read_text())["dependencies"]
    versions = {
        "webdis": package(bed, "webdis"), "nginx": package(bed, "nginx"), "node": said("node", "--version").lstrip("v"),
        **node, "rustc": said("rustc", "--version").split()[1],
    }
    if bed.urls:
        info = bed.redis("INFO", "server").splitlines()
        versions["Redis"] = next(line for line in info if line.startswith("redis_version:")).partition(":")[2]
        mongod = os.readlink(f"/proc/{bed.server_pid('mongo')}/exe")
        versions["MongoDB"] = said(mongod, "--version").split()[2].lstrip("v")
    return {
        "cpu": field("/proc/cpuinfo", "model name"), "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": platform.release(), "versions": versions, "commit": commit(),
        "at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }
