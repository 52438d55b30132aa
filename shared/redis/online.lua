-- Who is online in one shard of a site: the sessions that were seen last, at most so many. Changes nothing.
-- KEYS: deadlines of the sessions online, last-seen times, live sessions of each user. ARGV: the start of the keys of
-- sessions, most sessions to tell.
-- Answers one text of words, each after its length and a colon: now, sessions online, users online, then for 1 to 60
-- seconds how many were seen within them (nothing where all are told), a word that is empty; then of each session: id,
-- user, when it came, last seen, last active. What is not known is empty. All times are milliseconds, by this clock.
local call, pcall = redis.call, redis.pcall
local due, seen, user = KEYS[1], KEYS[2], KEYS[3]
local most = tonumber(ARGV[2])
local time = call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local online = call('ZCOUNT', due, '(' .. now, '+inf')

local words = {}
local function put(word)
  word = tostring(word or '')
  words[#words + 1] = #word .. ':' .. word
end

local told = 0
local function tell(id)
  local known = pcall('HMGET', ARGV[1] .. id, 'user', 'open_from', 'first', 'last', 'last_active')
  if known.err or not known[4] then return end
  told = told + 1
  put(id)
  put(known[1])
  put(known[2] or known[3])
  put(known[4])
  put(known[5])
end

put(now)
put(online)
put(call('HLEN', user))
if online > most then
  for second = 1, 60 do put(call('ZCOUNT', seen, string.format('%.0f', now - second * 1000), '+inf')) end
end
put('')
if online <= most then
  for _, id in ipairs(call('ZRANGEBYSCORE', due, '(' .. now, '+inf')) do tell(id) end
else
  -- Between them may be some that said goodbye.
  for from = 0, 3 * most, most do
    local latest = call('ZREVRANGE', seen, from, from + most - 1)
    for _, id in ipairs(latest) do
      local deadline = told < most and call('ZSCORE', due, id)
      if deadline and tonumber(deadline) > tonumber(now) then tell(id) end
    end
    if told >= most or #latest < most then break end
  end
end
return table.concat(words)
