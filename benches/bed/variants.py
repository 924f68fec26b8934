"""What a token costs, and what an answer that has not changed saves."""

import base64
import hashlib
import hmac
import json
import subprocess
import time
from contextlib import ExitStack
from functools import partial

import tables
from load import Target, closed_loop, cycle, fill, get, open_loop, post
from polls import PEERS, READERS, body, joined, users
from service import Service, call, on_servers

TITLE = "Tokens, and answers that have not changed"
KEY = "bench_hs256_secret_of_at_least_32_bytes"
OPEN, HS256, RS256 = "no token", "HS256", "RS256"
POST, GET, SAME = "POST, 200", "GET, 200", "GET with If-None-Match, 304"


def base64url(raw):
    """Without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def token(algorithm, reader, sign):
    """A JWT that speaks for `reader` for an hour."""
    parts = [{"alg": algorithm, "typ": "JWT"}, {"sub": reader, "exp": int(time.time()) + 3600}]
    message = ".".join(base64url(json.dumps(part).encode()) for part in parts)
    return f"{message}.{base64url(sign(message.encode()))}"


def hs256(message):
    """With the shared secret."""
    return hmac.new(KEY.encode(), message, hashlib.sha256).digest()


def rsa_pair(folder):
    """Makes a pair of keys; the path of the public one, and what signs."""
    private, public = folder / "rsa.pem", folder / "rsa.pub.pem"
    quiet = {"check": True, "stderr": subprocess.DEVNULL, "stdout": subprocess.PIPE}
    subprocess.run(["openssl", "genrsa", "-out", private, "2048"], **quiet)
    subprocess.run(["openssl", "rsa", "-in", private, "-pubout", "-out", public], **quiet)
    def sign(message):
        return subprocess.run(["openssl", "dgst", "-sha256", "-sign", private], input=message, **quiet).stdout
    return public, sign


def run(bed):
    """Polls of 50 by token, then by GET."""
    bed.servers()
    stores = on_servers(bed, "variants")
    public, rs256 = rsa_pair(bed.folder)
    readers = [f"r{n:07}" for n in range(READERS)]
    with ExitStack() as stack:
        plain = Service(bed, stack, "open", stores)
        services = {
            OPEN: (plain, None),
            HS256: (Service(bed, stack, "hs256", stores, auth={"auth.hs256_secret": KEY}), hs256),
            RS256: (Service(bed, stack, "rs256", stores, auth={"auth.public_key_file": public}), rs256),
        }
        fill(bed, plain.address, READERS, PEERS)
        redis = partial(bed.stores, "redis")

        def target(name, service, requests, expect=200):
            return Target(name, service.address, cycle(requests), partial(joined, service.pids, redis), expect)

        def polls(name, sign):
            def header(reader):
                return f"Authorization: Bearer {token(name, reader, sign)}\r\n" if sign else ""
            return [post("/v1/unread", body(50, reader), header(reader)) for reader in readers]

        tokens = [target(name, service, polls(name, sign)) for name, (service, sign) in services.items()]
        path = f"/v1/unread?self=@&users={','.join(users(50))}"
        tags = [call(plain.address, "GET", path.replace("@", reader))[1]["etag"] for reader in readers]
        known = [get(path.replace("@", reader), f"If-None-Match: {tag}\r\n") for reader, tag in zip(readers, tags)]
        conditional = [
            target(POST, plain, polls(OPEN, None)),
            target(GET, plain, [get(path.replace("@", reader)) for reader in readers]),
            target(SAME, plain, known, 304),
        ]
        rate = bed.pick(500, 4000)
        return {name: {
            "closed": closed_loop(bed, targets, 64, bed.pick(1, 3), bed.pick(0.5, 1.5)),
            "open": open_loop(bed, targets, rate, 1, bed.pick(0.7, 2.5)),
        } for name, targets in (("tokens", tokens), ("conditional", conditional))}


def markdown(result):
    """The section."""
    rate = tables.number(next(iter(result["tokens"]["open"].values()))["rate"])
    parts = [f"Polls of 50 users on Redis; 64 connections, and an open loop at {rate}/s."]
    for name, title in (("tokens", "With a JWT"), ("conditional", "GET and 304")):
        parts += [f"### {title}", tables.comparison(result[name]["closed"], result[name]["open"])]
    return "\n\n".join(parts)


def plots(_result):
    """None."""
    return {}
