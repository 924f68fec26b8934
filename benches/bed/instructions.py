"""Counts instructions of a poll and of a webhook, and compares them with instructions.json beside this file.

A run of twice as many, less a run of as many, is the price without the start. Instructions do not depend on what
else the machine does; they do depend on the compiler, which the file therefore names.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BASELINE = Path(__file__).with_name("instructions.json")
SLACK = 0.15
# Where the view is, by the size of the near cache in front of Redis.
MEMORY, NEAR, FAR = None, 1000, 0
# What is done, how often (so often that what happens by the clock beside it makes no difference), users on the page, and where the view is.
SCENES = {
    "poll of 20, near cache": ("poll", 3000, 20, NEAR),
    "poll of 50, near cache": ("poll", 2000, 50, NEAR),
    "poll of 500, near cache": ("poll", 500, 500, NEAR),
    "poll of 50, Redis": ("poll", 1000, 50, FAR),
    "poll of 50, memory": ("poll", 2000, 50, MEMORY),
    "webhook, nothing kept": ("acknowledged", 2000, 50, MEMORY),
    "webhook, SQLite + memory": ("message", 600, 50, MEMORY),
    "verify and parse a copy": ("verify-and-parse", 2000, 50, MEMORY),
}


def toolchain():
    """The compiler, and what it compiles for."""
    said = subprocess.run(["rustc", "--version", "--verbose"], check=True, text=True, stdout=subprocess.PIPE).stdout
    lines = dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)
    return f"rustc {lines['release']}, {lines['host']}"


def run(folder, scene, times, users, stores):
    """What valgrind says of one run, and the file that it writes."""
    own = Path(tempfile.mkdtemp(dir=folder))
    written = own / "callgrind.out"
    settings = {
        "HTTP__LISTEN": "127.0.0.1:0", "ACCOUNTS__URL": f"sqlite:{own}/accounts.db",
        "MESSAGES__URL": f"sqlite:{own}/messages.db", **stores,
        "NETEASE__BASE_URL": "http://127.0.0.1:9/nimserver", "NETEASE__APP_KEY": "bench",
        "NETEASE__APP_SECRET": "bench_app_secret_0123456789abcdef", "AUTH__MODE": "none", "LOG__FILTER": "off",
        # A machine under valgrind is slow; nothing may end for that reason.
        "LIMITS__WEBHOOK_TIMEOUT": "4900ms", "LIMITS__POLL_TIMEOUT": "1m", "UNREAD__RECHECK_AFTER": "24h",
        "UNREAD__NEAR_CACHE_STALENESS": "10s",
    }
    env = {"PATH": os.environ["PATH"], **{f"OTC_IM__{name}": value for name, value in settings.items()}}
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={written}", os.environ["BENCH_TOOL"],
               "instructions", scene, str(times), "--users", str(users)]
    done = subprocess.run(command, env=env, cwd=own, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{scene}: {done.stdout.strip()[-600:]}")
    return done.stdout, written


def counted(*what):
    """Instructions of one run."""
    said, _ = run(*what)
    return int(re.search(r"Collected : (\d+)", said)[1])


def counted_by_function(*what):
    """Instructions of one run, those of each function by its name."""
    _, written = run(*what)
    shown = subprocess.run(["callgrind_annotate", "--threshold=100", written], check=True, text=True,
                           stdout=subprocess.PIPE).stdout
    prices = {}
    for count, name in re.findall(r"^ *([\d,]+) \([^)]*\)  [^:\n]*:(.*?)(?: \[[^\]]*\])?$", shown, re.MULTILINE):
        prices[name] = prices.get(name, 0) + int(count.replace(",", ""))
    return prices


def price(folder, redis, scene):
    """Instructions of doing it once more."""
    what, times, users, near = SCENES[scene]

    def once(times):
        url = "memory:"
        if near is not MEMORY:
            url = redis
            # All runs have the same reader.
            subprocess.run(["redis-cli", "-u", redis, "FLUSHALL"], check=True, stdout=subprocess.DEVNULL)
        return counted(folder, what, times, users, {"UNREAD__URL": url, "UNREAD__NEAR_CACHE_READERS": str(near or 0)})

    return round((once(2 * times) - once(times)) / times)


def count():
    """Every scene: those on Redis one after another, for changes of one would be heard by the others, beside the rest."""
    on_redis = [scene for scene, what in SCENES.items() if what[-1] is not MEMORY]
    others = [scene for scene in SCENES if scene not in on_redis]
    with tempfile.TemporaryDirectory(prefix="otc-im-bench.") as folder:
        servers = f"{folder}/servers"
        try:
            said = subprocess.run([ROOT / "scripts/servers", "start", servers, "redis"], check=True, text=True,
                                  stdout=subprocess.PIPE, start_new_session=True).stdout
            redis = shlex.split(said.partition("=")[2])[0]
            with ThreadPoolExecutor() as pool:
                lanes = pool.map(lambda lane: {scene: price(folder, redis, scene) for scene in lane}, (on_redis, others))
                return {scene: cost for lane in lanes for scene, cost in lane.items()}
        finally:
            subprocess.run([ROOT / "scripts/servers", "stop", servers], check=False)


def compare(now, baseline):
    """Prints both; whether nothing has become dearer than it may."""
    same = baseline["toolchain"] == toolchain()
    if not same:
        print(f"The file was counted with {baseline['toolchain']}, this with {toolchain()}: shown, not judged.")
    dearer = []
    for scene, instructions in now.items():
        before = baseline["instructions"].get(scene)
        change = instructions / before - 1 if before else 0
        print(f"{scene:26} {instructions:10,}   {f'{change:+.1%}' if before else 'new'}")
        if change > SLACK:
            dearer.append(scene)
        elif change < -SLACK:
            print(f"{'':26} much cheaper: renew the file with `scripts/bench check renew`")
    if dearer:
        print(f"dearer by more than {SLACK:.0%}: {', '.join(dearer)}\n"
              "If that is the price of something wanted, say so and run `scripts/bench check renew`.")
    return not (dearer and same)


def main(words):
    """`renew` writes the file; nothing compares with it."""
    if words not in ([], ["renew"]):
        print("bench: check takes nothing, or renew", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    now = count()
    if words:
        BASELINE.write_text(json.dumps({"toolchain": toolchain(), "instructions": now}, indent=2) + "\n")
        print(f"written to {BASELINE.relative_to(ROOT)}")
        return 0
    return 0 if compare(now, json.loads(BASELINE.read_text())) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
