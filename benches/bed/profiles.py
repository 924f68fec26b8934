"""Where the instructions of a poll and of a webhook go, by callgrind: a longer run less a shorter one."""

import re
import tempfile

import tables
from instructions import FAR, NEAR, counted_by_function
from service import on_servers

TITLE = "Where the time goes"
# What is done, how often, and how large the near cache is.
SCENES = {
    "A poll of 50 users, near cache": ("poll", 300, NEAR),
    "A poll of 50 users, straight from Redis": ("poll", 300, FAR),
    "A message that comes alone, MongoDB + Redis": ("message", 150, NEAR),
}
# The first that occurs in the name of a function says whose it is.
OWNERS = {"otc_im": "this service", "redis": "redis", "combine": "redis", "mongodb": "mongodb, bson", "bson": "mongodb, bson",
          "indexmap": "mongodb, bson", "axum": "axum, tower", "tower": "axum, tower", "matchit": "axum, tower",
          "hyper": "hyper, http", "httparse": "hyper, http", "http": "hyper, http", "bytes": "hyper, http",
          "serde": "serde", "serde_core": "serde", "serde_json": "serde", "prometheus_client": "prometheus",
          "tokio": "tokio", "mio": "tokio", "md5": "md5, sha1", "sha1": "md5, sha1"}
WORD = re.compile(rf"\b({'|'.join(OWNERS)})\b")
MEMORY = ("mi_", "_mi_", "__mem")
SHOWN = 12


def owner(function):
    """Whose function it is."""
    if function.startswith(MEMORY):
        return "memory"
    found = WORD.search(function)
    return OWNERS[found[1]] if found else "the standard library and the rest"


def measure(bed, what, times, near):
    """Instructions of doing it once more, by function; those of the client left out."""
    def run(times, name):
        stores = on_servers(bed, f"profile_{name}")
        settings = {"MESSAGES__URL": stores["messages.url"], "UNREAD__URL": stores["unread.url"],
                    "UNREAD__NEAR_CACHE_READERS": str(near)}
        with tempfile.TemporaryDirectory(dir=bed.folder) as folder:
            bed.redis("FLUSHALL")
            return counted_by_function(folder, what, times, 50, settings)

    once, twice = run(times, f"{what}_{near}_1"), run(2 * times, f"{what}_{near}_2")
    prices = {name: (cost - once.get(name, 0)) / times for name, cost in twice.items()}
    return {name: price for name, price in prices.items() if price >= 1 and not name.startswith("tool::")}


def run(bed):
    """One scene after the other, for they have one Redis."""
    bed.servers()
    result = {}
    for title, scene in SCENES.items():
        prices = measure(bed, *scene)
        owners = {}
        for name, price in prices.items():
            owners[owner(name)] = owners.get(owner(name), 0) + price
        top = sorted(prices.items(), key=lambda item: -item[1])[:SHOWN]
        result[title] = {"owners": dict(sorted(owners.items(), key=lambda item: -item[1])), "top": dict(top)}
    return result


def markdown(result):
    """The section."""
    parts = ["Instructions of one more, counted by `valgrind --tool=callgrind`, the kernel and the client's own functions left out; first by "
             "whose code it is, then the dearest functions."]
    for title, scene in result.items():
        total = sum(scene["owners"].values())
        rows = [[name, tables.number(price), f"{price / total:.0%}"] for name, price in scene["owners"].items()
                if price / total >= 0.005]
        parts += [f"### {title}", f"{tables.number(total)} instructions.",
                  tables.table(["whose", "instructions", "share"], rows),
                  tables.table(["function", "instructions"],
                               [[f"`{shortened(name)}`", tables.number(price)] for name, price in scene["top"].items()])]
    return "\n\n".join(parts)


def shortened(name):
    """Names of Rust are long; a table is not."""
    name = name.replace("|", "/")
    return name if len(name) <= 90 else f"{name[:89]}…"


def plots(_result):
    """None."""
    return {}
