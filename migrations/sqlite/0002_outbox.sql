-- Notifications, and what is owed to NetEase. Times are milliseconds since 1970.
CREATE TABLE notifications (
    id              TEXT    NOT NULL PRIMARY KEY,
    accepted_at     INTEGER NOT NULL,
    content         TEXT    NOT NULL,
    caller          TEXT,
    idempotency_key TEXT,
    fingerprint     TEXT
) WITHOUT ROWID;

CREATE UNIQUE INDEX notifications_key ON notifications (caller, idempotency_key);
CREATE INDEX notifications_age ON notifications (accepted_at);

-- One row for each recipient of a notification, and one without a notification for each friendship that is owed.
-- state: 0 queued, 1 sent, 2 failed, 3 unknown. Rows of one lane are done one after another. owed_once is set while a
-- friendship is queued. lease is set only while a row is queued; sending says that its holder has begun.
CREATE TABLE outbox (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    notification TEXT,
    batch        BOOLEAN NOT NULL DEFAULT FALSE,
    resendable   BOOLEAN NOT NULL DEFAULT FALSE,
    lane         TEXT    NOT NULL,
    owed_once    TEXT,
    from_user    TEXT    NOT NULL,
    to_user      TEXT    NOT NULL,
    accepted_at  INTEGER NOT NULL,
    state        INTEGER NOT NULL DEFAULT 0,
    attempts     INTEGER NOT NULL DEFAULT 0,
    last_error   TEXT,
    due_at       INTEGER NOT NULL,
    lease        TEXT,
    leased_until INTEGER NOT NULL DEFAULT 0,
    sending      BOOLEAN NOT NULL DEFAULT FALSE
);

CREATE UNIQUE INDEX outbox_owed_once ON outbox (owed_once);
CREATE INDEX outbox_queue ON outbox (batch, id) WHERE state = 0;
CREATE INDEX outbox_lane ON outbox (lane, id) WHERE state = 0;
CREATE INDEX outbox_notification ON outbox (notification, state, id);
