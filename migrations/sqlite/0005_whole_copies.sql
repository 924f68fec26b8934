-- The sender's extension, and every field of a copy that has no column: one JSON object of texts.
ALTER TABLE messages ADD COLUMN ext TEXT;
ALTER TABLE messages ADD COLUMN extra TEXT;
-- Why the site's rules do not count a message that would count otherwise: 'type' or 'sender'.
ALTER TABLE messages ADD COLUMN ignored TEXT;
