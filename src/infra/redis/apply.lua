-- Takes one event into the view of one reader. Safe to repeat, in any order.
-- KEYS: 1 counts, 2 marks, 3 gone, 4 unread messages of the pair
-- ARGV: 1 peer, 2 mark or '', 3 arrived id or '', 4 arrived at, 5 recalled id or '', 6 now, 7 tombstone ms
local peer, mark, id, at, recalled = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

-- The counts name the size of every other key. Where one disagrees, Redis has evicted or lost that key: the reader
-- is not known any more, and no load under way may vouch for what it merges.
local said = redis.call('HMGET', KEYS[1], peer, '!marks', '!gone')
if tonumber(said[1] or 0) ~= redis.call('ZCARD', KEYS[4])
  or tonumber(said[2] or 0) ~= redis.call('HLEN', KEYS[2])
  or tonumber(said[3] or 0) ~= redis.call('ZCARD', KEYS[3]) then
  redis.call('HDEL', KEYS[1], '!at', '!token')
end

local known = tonumber(redis.call('HGET', KEYS[2], peer) or '-1')
if mark ~= '' and tonumber(mark) > known then
  known = tonumber(mark)
  redis.call('HSET', KEYS[2], peer, mark)
  redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', mark)
end
if recalled ~= '' then
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', '(' .. (ARGV[6] - ARGV[7]))
  redis.call('ZADD', KEYS[3], ARGV[6], recalled)
  redis.call('ZREM', KEYS[4], recalled)
end
if id ~= '' and tonumber(at) > known and not redis.call('ZSCORE', KEYS[3], id) then
  redis.call('ZADD', KEYS[4], at, id)
end

-- Always from the size of the set, never by arithmetic on the count itself.
local left = redis.call('ZCARD', KEYS[4])
if left == 0 then redis.call('HDEL', KEYS[1], peer) else redis.call('HSET', KEYS[1], peer, left) end
redis.call('HSET', KEYS[1], '!marks', redis.call('HLEN', KEYS[2]), '!gone', redis.call('ZCARD', KEYS[3]))
return left
