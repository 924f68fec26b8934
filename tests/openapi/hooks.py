"""Rules of the interface that a schema cannot say: what is valid by the schema is made to keep to them, too."""

import hashlib
import json
import re
import unicodedata

import schemathesis

# What the simulator of `otc-im dev` signs with.
APP_SECRET = "simulated_app_secret"


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.path == "/receiveMsg.action":
        kwargs["auth"] = sign
        return
    if isinstance(case.body, dict):
        case.body = kept_to_rules(case.body)
    # A key stands for one request, so another request has another key.
    if key := (case.headers or {}).get("Idempotency-Key"):
        body = hashlib.sha256(repr(case.body).encode("utf-8", "surrogatepass")).hexdigest()
        case.headers["Idempotency-Key"] = key[:191] + body
    # One parameter of commas alone names nobody; repeated, it is somebody whose id is a comma.
    users = (case.query or {}).get("users")
    if users and not "".join(users).strip(",") and len(users) == 1:
        case.query["users"] = users * 2


def kept_to_rules(body):
    body = dict(body)
    # The token is alice's, and nobody chats with oneself.
    if "buyer" in body:
        body["buyer"] = "alice"
        if body["seller"] == "alice":
            body["seller"] = "bob"
    # A notice goes to users or to a team.
    if "attach" in body and ("to" in body) == (body.get("team") is not None):
        body["to"] = "alice"
        body.pop("team", None)
    # A name can be seen.
    for name in ("buyerName", "sellerName"):
        if body.get(name) and not is_seen(body[name]):
            body[name] = "Alice"
    # The text of a payload is that of a JSON object.
    if isinstance(body.get("payload"), str):
        body["payload"] = json.dumps({"text": body["payload"][:100]})
    # What is JSON counts as it is written.
    for name, most in (("attach", 4096), ("payload", 2048)):
        if isinstance(body.get(name), (dict, list)) and len(json.dumps(body[name])) > most:
            body[name] = {}
    return body


def is_seen(name):
    """Neither blank nor with a character that shows nothing; in doubt it is not."""
    fillers = re.search(r"[\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0]", name)
    hidden = any(unicodedata.category(char) in ("Cc", "Cf", "Mn", "Zl", "Zp") for char in name)
    return not (name.isspace() or fillers or hidden)


def sign(request):
    """As NetEase does, over the bytes that are sent."""
    body = request.body or b""
    md5 = hashlib.md5(body if isinstance(body, bytes) else body.encode()).hexdigest()
    check_sum = hashlib.sha1((APP_SECRET + md5 + request.headers["CurTime"]).encode()).hexdigest()
    request.headers.update({"MD5": md5, "CheckSum": check_sum})
    return request
