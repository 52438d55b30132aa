-- Finds the sessions that fell silent, in all sites of this prefix, whether the asking host has them or not.
-- KEYS: the hash of sites ("SHARDS SITE" -> retention). ARGV: prefix, how long after its deadline a session is taken (a
-- sign of life may still be on its way), what time the asking host believes it is, most sessions to take.
-- Answers: sessions taken, -1 where this command has waited too long to know what other hosts have sent; the first error.
prefix = ARGV[1]
local slack, budget = tonumber(ARGV[2]), tonumber(ARGV[4])
if math.abs(now - tonumber(ARGV[3])) > 500 then return {-1, ''} end
local taken = 0

local function sweep(tag, site, shards, retention)
  local due = tag .. 'due'
  local silent = note(due, pcall('ZRANGEBYSCORE', due, '-inf', now - slack, 'WITHSCORES', 'LIMIT', 0, budget - taken))
  if silent.err then return end
  for i = 1, #silent, 2 do
    local id, at = silent[i], silent[i + 1]
    local session = tag .. 'session:' .. id
    local known = note(session, pcall('HMGET', session, 'user', 'left', 'due'))
    if known.err then known = {false, false, false} end
    pcall('ZREM', due, id)
    pcall('HDEL', session, 'due', 'left')
    session_goes(tag, site, shards, retention, id, known[1], at, known[2])
    taken = taken + 1
  end
  return call('EXISTS', due) == 0
end

local sites = call('HGETALL', KEYS[1])
for i = 1, #sites, 2 do
  local shards, site = string.match(sites[i], '^(%d+) (.*)$')
  shards = tonumber(shards)
  local empty = true
  for shard = 0, shards - 1 do
    local tag = prefix .. ':{' .. site .. (shards > 1 and '/' .. shard or '') .. '}:'
    if taken < budget then empty = sweep(tag, site, shards, tonumber(sites[i + 1])) and empty
    else empty = false end
  end
  if empty then call('HDEL', KEYS[1], sites[i]) end
end
return {taken, why}
