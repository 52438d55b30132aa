-- Who is online in one part of a site: the sessions that were seen last, at most so many. Changes nothing.
-- KEYS: who is online, last-seen times, number of sessions of each user. ARGV: the start of the keys of sessions, most
-- sessions to tell.
-- Answers one text of words, each after its length and a colon: now, sessions online, users online, then for 1 to 60
-- seconds how many were seen within them (nothing where all are told), a word that is empty; then of each session: id,
-- user, when it came, last seen, last active. What is not known is empty.
local most = tonumber(ARGV[2])
local words, told = {}, 0

local function put(word)
  words[#words + 1] = #word .. ':' .. word
end
local function put_number(number) put(string.format('%d', number)) end

-- Whoever is past the deadline is not online, though the sweep has not been there yet.
local function tell_one(id)
  local known = pcall('HMGET', ARGV[1] .. id, 'state', 'user')
  if known.err then return end
  local flags, last, open_from, last_active, _, due = read_state(known[1])
  if not flags or flags % 2 < ONLINE or due <= now then return end
  told = told + 1
  put(id)
  put(known[2] or '')
  put_number(open_from)
  put_number(last)
  put(last_active > 0 and string.format('%d', last_active) or '')
end

-- Between those who were seen last may be some who said goodbye.
local function tell_the_latest()
  for from = 0, 3 * most, most do
    local latest = call('ZREVRANGE', KEYS[2], from, from + most - 1)
    for _, id in ipairs(latest) do
      if told < most then tell_one(id) end
    end
    if told >= most or #latest < most then return end
  end
end

local online = call('ZCARD', KEYS[1])
local all = online <= most
if all then
  for _, id in ipairs(call('ZRANGE', KEYS[1], 0, -1)) do tell_one(id) end
  online = told
else
  tell_the_latest()
end

local sessions = table.concat(words)
words = {}
put_number(now)
put_number(online)
put_number(call('HLEN', KEYS[3]))
for second = 1, all and 0 or 60 do
  put_number(call('ZCOUNT', KEYS[2], string.format('%d', now - second * 1000), '+inf'))
end
put('')
return table.concat(words) .. sessions
