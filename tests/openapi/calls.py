"""Four calls by a client that openapi-python-client has made, and what its models say of the answers."""

import sys
from uuid import UUID

from otc_im_client import AuthenticatedClient
from otc_im_client.api.chat import (
    bind,
    get_notification,
    get_unread,
    get_unread_total,
    mark_read,
    post_unread,
    send_notification,
)
from otc_im_client.models import (
    BindRequest,
    Code,
    DeliveryState,
    FriendState,
    NotificationRequest,
    NotificationRequestAttachType1,
    NotificationRequestPayloadType0,
    Problem,
    ReadRequest,
    UnreadRequest,
)

base_url, token = sys.argv[1:]
client = AuthenticatedClient(base_url=base_url, token=token, raise_on_unexpected_status=True)

bound = bind.sync(client=client, body=BindRequest(buyer="alice", seller="bob", buyer_name=None))
assert (bound.accid, bound.friend.state) == ("alice", FriendState.ADDED), bound

shipped = NotificationRequestAttachType1.from_dict({"type": "shipped", "order": 42})
bell = NotificationRequestPayloadType0.from_dict({"sound": "bell"})
notices = [
    NotificationRequest(to="alice", attach=shipped, payload=bell),
    NotificationRequest(to="alice", attach="shipped", payload='{"sound":"bell"}', save=1),
    NotificationRequest(to=["alice", "bob"], attach=["shipped", 42]),
]
for at, notice in enumerate(notices):
    sent, again = (
        send_notification.sync(client=client, body=notice, idempotency_key=f"python-{at}") for _ in range(2)
    )
    assert isinstance(sent.id, UUID) and again.id == sent.id, (sent, again)
    status = get_notification.sync(sent.id, client=client)
    assert (status.id, status.state) == (sent.id, DeliveryState.SENT), status
    assert not status.last_error, status

users = ["bob", "a,b", "小 明"]
polled = post_unread.sync(client=client, body=UnreadRequest(self_="alice", users=users))
assert polled.to_dict() == dict.fromkeys(users, 0), polled
got = get_unread.sync_detailed(client=client, self_="alice", users=users)
assert got.parsed == polled, got
unchanged = get_unread.sync_detailed(
    client=client, self_="alice", users=users, if_none_match=got.headers["etag"]
)
assert unchanged.status_code == 304, unchanged
total = get_unread_total.sync(client=client, self_="alice")
assert total.to_dict() == {"messages": 0, "users": 0}, total
read = mark_read.sync(client=client, body=ReadRequest(self_="alice", peer="bob"))
assert read.to_dict() == {"unread": 0}, read

refused = post_unread.sync(client=client, body=UnreadRequest(self_="somebody-else", users=users))
assert isinstance(refused, Problem) and refused.code == Code.FORBIDDEN, refused
