-- Accounts at NetEase and friendships there.
CREATE TABLE accounts (
    accid          VARCHAR(32)  CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL PRIMARY KEY,
    user_id        VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    name           VARCHAR(64)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    token          VARCHAR(128) CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    registered     BOOLEAN      NOT NULL DEFAULT FALSE,
    confirmed_name VARCHAR(64)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
) ENGINE = InnoDB;

-- One row a pair; accid_a sorts before accid_b.
CREATE TABLE friendships (
    accid_a VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    accid_b VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    PRIMARY KEY (accid_a, accid_b)
) ENGINE = InnoDB;
