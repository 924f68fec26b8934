-- Merges a part of what the log holds of one pair; a long one comes in several calls, so that none blocks for long.
-- KEYS: 1 counts, 2 marks, 3 gone, 4 unread messages of the pair
-- ARGV: 1 token, 2 peer, 3 mark or '', 4 now, 5 how many ids to add, 6 how many to remove; then each to add as id, at;
--       then each to remove; then each that was recalled
-- Answers {added, removed}, or nothing when the load is superseded.
local peer, mark, now = ARGV[2], ARGV[3], ARGV[4]
local removing = 7 + 2 * tonumber(ARGV[5])
local recalled = removing + tonumber(ARGV[6])

local said = redis.call('HMGET', KEYS[1], '!token', peer, '!marks', '!gone')
-- After a loss the pair is counted anew, so that the next load takes it up as it is; this one must not end.
local held = redis.call('ZCARD', KEYS[4])
if tonumber(said[2] or 0) ~= held then
  redis.call('HDEL', KEYS[1], peer, '!at', '!token')
  if held > 0 then redis.call('HSET', KEYS[1], peer, held) end
  return false
end
if said[1] ~= ARGV[1]
  or tonumber(said[3] or 0) ~= redis.call('HLEN', KEYS[2])
  or tonumber(said[4] or 0) ~= redis.call('ZCARD', KEYS[3]) then
  return false
end

local added, removed = 0, 0
local known = tonumber(redis.call('HGET', KEYS[2], peer) or '-1')
if mark ~= '' and tonumber(mark) > known then
  known = tonumber(mark)
  redis.call('HSET', KEYS[2], peer, mark)
  removed = redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', mark)
end
for i = recalled, #ARGV do
  redis.call('ZADD', KEYS[3], now, ARGV[i])
  removed = removed + redis.call('ZREM', KEYS[4], ARGV[i])
end
local tombs = redis.call('ZCARD', KEYS[3]) > 0
for i = 7, removing - 1, 2 do
  local id, at = ARGV[i], ARGV[i + 1]
  if tonumber(at) > known and not (tombs and redis.call('ZSCORE', KEYS[3], id)) then
    added = added + redis.call('ZADD', KEYS[4], at, id)
  end
end
for i = removing, recalled - 1 do
  removed = removed + redis.call('ZREM', KEYS[4], ARGV[i])
end

local left = redis.call('ZCARD', KEYS[4])
if left == 0 then redis.call('HDEL', KEYS[1], peer) else redis.call('HSET', KEYS[1], peer, left) end
redis.call('HSET', KEYS[1], '!marks', redis.call('HLEN', KEYS[2]), '!gone', redis.call('ZCARD', KEYS[3]))
return { added, removed }
