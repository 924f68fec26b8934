-- Vouches for a reader whose load has been merged whole.
-- KEYS: 1 counts, 2 marks, 3 gone
-- ARGV: 1 token, 2 now, 3 tombstones from before then are forgotten
-- Answers 1, or 0 when the load is superseded.
local said = redis.call('HMGET', KEYS[1], '!token', '!marks', '!gone', '!at')
-- This very load has ended before: its answer was lost.
if not said[1] and said[4] == ARGV[2] then return 1 end
if said[1] ~= ARGV[1]
  or tonumber(said[2] or 0) ~= redis.call('HLEN', KEYS[2])
  or tonumber(said[3] or 0) ~= redis.call('ZCARD', KEYS[3]) then
  return 0
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', '(' .. ARGV[3])
redis.call('HDEL', KEYS[1], '!token')
redis.call('HSET', KEYS[1], '!at', ARGV[2], '!gone', redis.call('ZCARD', KEYS[3]))
return 1
