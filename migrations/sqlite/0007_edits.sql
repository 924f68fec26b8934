-- When a message was edited last, and each of the columns that an edit may change, in milliseconds since 1970.
ALTER TABLE messages ADD COLUMN "editedAt" INTEGER;
ALTER TABLE messages ADD COLUMN "bodyEditedAt" INTEGER;
ALTER TABLE messages ADD COLUMN "attachEditedAt" INTEGER;
ALTER TABLE messages ADD COLUMN "extEditedAt" INTEGER;
