-- Reads all counts of a reader at once, if they are few.
-- KEYS: 1 counts
-- ARGV: 1 how many fields are few
-- Answers field after value, or nothing when they are too many.
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[1]) then return false end
return redis.call('HGETALL', KEYS[1])
