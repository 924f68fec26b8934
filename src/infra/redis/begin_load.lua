-- Begins to load a reader: lays a token unless one lies there, and answers it with the peers that have a count.
-- KEYS: 1 counts
-- ARGV: 1 fresh token
redis.call('HSETNX', KEYS[1], '!token', ARGV[1])
return { redis.call('HGET', KEYS[1], '!token'), redis.call('HKEYS', KEYS[1]) }
