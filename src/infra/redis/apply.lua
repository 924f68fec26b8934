-- Takes one event into the view of one reader. Safe to repeat, in any order.
-- KEYS: 1 counts, 2 marks, 3 gone, 4 unread messages of the pair
-- ARGV: 1 peer, 2 mark or '', 3 arrived id or '', 4 arrived at, 5 recalled id or '', 6 now, 7 tombstone ms
local counts, marks, gone, unread = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local peer, mark, id, at, recalled = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

-- The counts name the size of every other key. Where one disagrees, Redis has evicted or lost that key: the reader
-- is not known any more, and no load under way may vouch for what it merges.
local said = redis.call('HMGET', counts, peer, '!marks', '!gone')
if tonumber(said[1] or 0) ~= redis.call('ZCARD', unread)
  or tonumber(said[2] or 0) ~= redis.call('HLEN', marks)
  or tonumber(said[3] or 0) ~= redis.call('ZCARD', gone) then
  redis.call('HDEL', counts, '!at', '!token')
end

local known = tonumber(redis.call('HGET', marks, peer) or '-1')
if mark ~= '' and tonumber(mark) > known then
  known = tonumber(mark)
  redis.call('HSET', marks, peer, mark)
  redis.call('ZREMRANGEBYSCORE', unread, '-inf', mark)
end
if recalled ~= '' then
  redis.call('ZREMRANGEBYSCORE', gone, '-inf', '(' .. (ARGV[6] - ARGV[7]))
  redis.call('ZADD', gone, ARGV[6], recalled)
  redis.call('ZREM', unread, recalled)
end
if id ~= '' and tonumber(at) > known and not redis.call('ZSCORE', gone, id) then
  redis.call('ZADD', unread, at, id)
end

-- Always from the size of the set, never by arithmetic on the count itself.
local left = redis.call('ZCARD', unread)
if left == 0 then redis.call('HDEL', counts, peer) else redis.call('HSET', counts, peer, left) end
redis.call('HSET', counts, '!marks', redis.call('HLEN', marks), '!gone', redis.call('ZCARD', gone))
return left
