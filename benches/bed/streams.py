"""Streams of counts: not measured before there are any."""

from contextlib import ExitStack

from service import Service, call, embedded

TITLE = "Streams of counts"
PATH = "/v1/unread/stream?self=r0000000&users=p0000000"


def run(bed):
    """Looks whether the service has streams."""
    with ExitStack() as stack:
        service = Service(bed, stack, "streams", embedded(bed, "streams"))
        return {"built": call(service.address, "HEAD", PATH)[0] not in (404, 405)}


def markdown(result):
    """The section."""
    if result["built"]:
        return "`GET /v1/unread/stream` answers, but this bed does not measure it yet."
    return "Not built yet: `GET /v1/unread/stream` is not there."


def plots(_result):
    """None."""
    return {}
