-- Notifications, and what is owed to NetEase. Times are milliseconds since 1970. Keys are compared byte by byte, because
-- every collation that MySQL and MariaDB share takes a trailing blank for nothing.
CREATE TABLE notifications (
    id              CHAR(36)     CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL PRIMARY KEY,
    accepted_at     BIGINT       NOT NULL,
    content         TEXT         CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    caller          VARBINARY(512),
    idempotency_key VARBINARY(255),
    fingerprint     CHAR(64)     CHARACTER SET ascii   COLLATE ascii_bin,
    UNIQUE KEY notifications_key (caller, idempotency_key),
    KEY notifications_age (accepted_at)
) ENGINE = InnoDB;

-- One row for each recipient of a notification, and one without a notification for each friendship that is owed.
-- state: 0 queued, 1 sent, 2 failed, 3 unknown. Rows of one lane are done one after another. owed_once is set while a
-- friendship is queued. lease is set only while a row is queued; sending says that its holder has begun.
CREATE TABLE outbox (
    id           BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    notification CHAR(36)     CHARACTER SET ascii   COLLATE ascii_bin,
    batch        BOOLEAN      NOT NULL DEFAULT FALSE,
    resendable   BOOLEAN      NOT NULL DEFAULT FALSE,
    lane         VARCHAR(65)  CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    owed_once    VARCHAR(65)  CHARACTER SET ascii   COLLATE ascii_bin,
    from_user    VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    to_user      VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    accepted_at  BIGINT       NOT NULL,
    state        TINYINT      NOT NULL DEFAULT 0,
    attempts     INT          NOT NULL DEFAULT 0,
    last_error   VARCHAR(500) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    due_at       BIGINT       NOT NULL,
    lease        CHAR(36)     CHARACTER SET ascii   COLLATE ascii_bin,
    leased_until BIGINT       NOT NULL DEFAULT 0,
    sending      BOOLEAN      NOT NULL DEFAULT FALSE,
    UNIQUE KEY outbox_owed_once (owed_once),
    KEY outbox_queue (state, batch, id),
    KEY outbox_lane (lane, state, id),
    KEY outbox_notification (notification, state, id)
) ENGINE = InnoDB;
