-- A poll in nginx: one HMGET over a pooled connection, a JSON map back.
local cjson = require "cjson.safe"
local redis = require "nginx.redis"

ngx.req.read_body()
local poll = cjson.decode(ngx.req.get_body_data() or "")
if not poll or type(poll.self) ~= "string" or type(poll.users) ~= "table" then
  return ngx.exit(400)
end

local client = redis:new()
client:set_timeout(1000)
local ok = client:connect("127.0.0.1", tonumber(ngx.var.redis_port))
if not ok then
  return ngx.exit(503)
end
local counts = client:hmget("counts:" .. poll.self, unpack(poll.users))
if not counts then
  return ngx.exit(503)
end
client:set_keepalive(60000, 64)

local answer = {}
for at, user in ipairs(poll.users) do
  answer[user] = tonumber(counts[at]) or 0
end
local text = cjson.encode(answer)
ngx.header.content_length = #text
ngx.print(text)
