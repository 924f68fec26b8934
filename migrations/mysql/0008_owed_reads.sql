-- Reads that NetEase is owed to be told of: rows of the outbox without a notification, with batch = 2. owed_once holds
-- the lane of the one that waits; one that was held when a newer message was read has given it up. message_* say which
-- message is the newest that is read. batch = 3 is a notice to a team, by its id in to_user.
ALTER TABLE outbox
    ADD COLUMN message_at        BIGINT,
    ADD COLUMN message_id        BIGINT,
    ADD COLUMN message_client_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
