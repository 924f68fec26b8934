-- 'history' while a message is known from NetEase's history alone, without what only its copy tells.
ALTER TABLE messages ADD COLUMN "learntFrom" TEXT;

-- When somebody took copies, and when the newest came: one row. Times are milliseconds since 1970.
CREATE TABLE copy_flow (
    id     INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    at     INTEGER NOT NULL,
    newest INTEGER
);

-- How many copies came in each hour since 1970.
CREATE TABLE copies_by_hour (
    hour   INTEGER NOT NULL PRIMARY KEY,
    copies INTEGER NOT NULL
);

-- Stretches of time in which copies may have been lost. accids up to reconciled_to are done.
CREATE TABLE gaps (
    id            TEXT    NOT NULL PRIMARY KEY,
    cause         TEXT    NOT NULL,
    from_ms       INTEGER NOT NULL,
    to_ms         INTEGER NOT NULL,
    holder        TEXT,
    leased_until  INTEGER NOT NULL DEFAULT 0,
    reconciled_to TEXT
) WITHOUT ROWID;

-- The last day since 1970 on which somebody polled or chatted.
CREATE TABLE active_users (
    accid TEXT    NOT NULL PRIMARY KEY,
    day   INTEGER NOT NULL
) WITHOUT ROWID;
