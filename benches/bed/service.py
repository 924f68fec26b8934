"""The service under test, with the stores and settings that a row wants."""

import http.client
import json
import os
import subprocess

from bed import SECRET
from process import free_port

OPEN_DOOR = {"auth.mode": "none"}


def settings_env(settings):
    """Settings as the environment has them, and nothing else."""
    named = {f"OTC_IM__{key.replace('.', '__').upper()}": str(value) for key, value in settings.items()}
    return {"PATH": os.environ["PATH"], **named}


class Service:
    """An instance of otc-im."""

    def __init__(self, bed, stack, name, stores, auth=None, **more):
        self.name = name
        port = free_port()
        folder = bed.folder / f"service-{name}"
        folder.mkdir(exist_ok=True)
        settings = {
            "http.listen": f"127.0.0.1:{port}",
            "accounts.url": f"sqlite:{folder}/accounts.db",
            "netease.base_url": "http://127.0.0.1:9/nimserver",
            "netease.app_key": "simulated_app_key",
            "netease.app_secret": SECRET,
            "log.filter": "warn",
            **(OPEN_DOOR if auth is None else auth),
            **stores,
            **{key.replace("__", "."): value for key, value in more.items()},
        }
        self.env = env = settings_env(settings)
        subprocess.run([bed.service, "migrate"], env=env, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        self.process = bed.start(stack, f"service-{name}", [bed.service, "serve"], port, env=env, cwd=folder)
        self.address = self.process.address

    def pids(self):
        """Its process."""
        return self.process.pids()


def on_servers(bed, database):
    """MongoDB and Redis, already started."""
    return {"messages.url": bed.mongo_url(database), "unread.url": bed.redis_url}


def embedded(bed, name):
    """SQLite and memory."""
    return {"messages.url": f"sqlite:{bed.folder}/{name}.db", "unread.url": "memory:"}


def call(address, method, path, body=None, headers=None):
    """One request: status, headers and body."""
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, body=text, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()
