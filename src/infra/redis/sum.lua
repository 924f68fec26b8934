-- Sums all counts of a reader, who may have very many.
-- KEYS: 1 counts
-- Answers when the reader was loaded, how many messages are unread, and from how many peers; or nothing when nobody
-- vouches for that. One call, so a sum of one moment: in pieces it could be one that never was.
local own = redis.call('HMGET', KEYS[1], '!at', '!token', '!marks', '!gone')
if not own[1] then return false end

-- The values alone cost half of fields and values. The numbers among our own are taken off again; the token, which is
-- none, is left out once.
local messages, users, token = 0, 0, own[2]
for i = 1, 4 do
  if own[i] then
    users = users - 1
    if i ~= 2 then messages = messages - own[i] end
  end
end
for _, count in ipairs(redis.call('HVALS', KEYS[1])) do
  users = users + 1
  if count == token then
    token = false
  else
    local number = tonumber(count)
    if not number then return redis.error_reply('WRONGTYPE a count is no number') end
    messages = messages + number
  end
end
return { own[1], messages, users }
