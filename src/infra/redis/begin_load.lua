-- Begins to load a reader: lays a token unless one lies there, and answers it with the peers that have a count.
-- KEYS: 1 counts, 2 marks, 3 gone
-- ARGV: 1 fresh token
local marks, gone = redis.call('HLEN', KEYS[2]), redis.call('ZCARD', KEYS[3])

-- After a loss the sizes are taken as they are, or no load could ever end; one under way must not.
local said = redis.call('HMGET', KEYS[1], '!marks', '!gone')
if tonumber(said[1] or 0) ~= marks or tonumber(said[2] or 0) ~= gone then
  redis.call('HDEL', KEYS[1], '!at', '!token')
  redis.call('HSET', KEYS[1], '!marks', marks, '!gone', gone)
end
redis.call('HSETNX', KEYS[1], '!token', ARGV[1])
return { redis.call('HGET', KEYS[1], '!token'), redis.call('HKEYS', KEYS[1]) }
