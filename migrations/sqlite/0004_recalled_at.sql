-- When a message was recalled, in milliseconds since 1970. Without it: before this column was there.
ALTER TABLE messages ADD COLUMN "recalledAt" INTEGER;
