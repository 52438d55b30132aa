-- Lengthens the lives of keys that belong to an application: never makes a key, never shortens a life, reads no value.
-- A key that is not there, or that lives for ever, is left alone.
-- KEYS: the keys, perhaps none. ARGV: for each, until when it shall live: an absolute time, so that a command that waited
-- in a Redis that stood still gives no more than another. Answers what time it is.
-- All times are milliseconds, by the clock of Redis.
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i, key in ipairs(KEYS) do
  local left, wanted = call('PTTL', key), ARGV[i] - now
  if left >= 0 and left < wanted then call('PEXPIRE', key, wanted) end
end
return now
