-- Accounts at NetEase, friendships there, and — on SQLite only — the message log.
CREATE TABLE accounts (
    accid          TEXT    NOT NULL PRIMARY KEY,
    user_id        TEXT    NOT NULL,
    name           TEXT,
    token          TEXT    NOT NULL,
    registered     BOOLEAN NOT NULL DEFAULT FALSE,
    confirmed_name TEXT
) WITHOUT ROWID;

-- One row a pair; accid_a sorts before accid_b.
CREATE TABLE friendships (
    accid_a TEXT NOT NULL,
    accid_b TEXT NOT NULL,
    PRIMARY KEY (accid_a, accid_b)
) WITHOUT ROWID;

-- The names of MongoDB's collections and fields. A row with recalled = 1 and no msg_type is a tombstone that came
-- before its message.
CREATE TABLE messages (
    id               TEXT    NOT NULL PRIMARY KEY,
    "convType"       TEXT    NOT NULL,
    "to"             TEXT    NOT NULL,
    "fromAccount"    TEXT    NOT NULL,
    "fromClientType" TEXT,
    "fromDeviceId"   TEXT,
    "fromNick"       TEXT,
    "msgTimestamp"   INTEGER NOT NULL,
    "msgType"        TEXT,
    body             TEXT,
    attach           TEXT,
    "msgidClient"    TEXT,
    "msgidServer"    INTEGER NOT NULL,
    "resendFlag"     TEXT,
    state            INTEGER NOT NULL DEFAULT 0,
    withheld         BOOLEAN NOT NULL DEFAULT FALSE,
    recalled         BOOLEAN NOT NULL DEFAULT FALSE,
    counted          BOOLEAN NOT NULL
) WITHOUT ROWID;

CREATE INDEX messages_unread ON messages ("to", "fromAccount", "msgTimestamp") WHERE state = 0 AND counted = 1;
CREATE INDEX messages_recalled ON messages ("to") WHERE recalled = 1;

CREATE TABLE read_marks (
    reader TEXT    NOT NULL,
    peer   TEXT    NOT NULL,
    mark   INTEGER NOT NULL,
    PRIMARY KEY (reader, peer)
) WITHOUT ROWID;

CREATE TABLE dead_letters (
    id            TEXT    NOT NULL PRIMARY KEY,
    "receivedAt"  INTEGER NOT NULL,
    reason        TEXT    NOT NULL,
    raw           TEXT    NOT NULL
) WITHOUT ROWID;
