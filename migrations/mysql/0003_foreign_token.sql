-- Whether NetEase has the account under a token that is not ours. Means nothing where registered is TRUE.
ALTER TABLE accounts ADD COLUMN foreign_token BOOLEAN NOT NULL DEFAULT FALSE;
