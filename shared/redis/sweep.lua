-- Finds the sessions that fell silent, in all sites of this prefix, whether the asking host has them or not.
-- KEYS: the hash of sites ("SHARDS SITE" -> retention). ARGV: prefix, how long after its deadline a session is taken (a
-- sign of life may still be on its way), what time the asking host believes it is, most sessions to take.
-- Answers: sessions taken, -1 where this command has waited too long to know what other hosts have sent; the first error.
prefix = ARGV[1]
local slack, budget = tonumber(ARGV[2]), tonumber(ARGV[4])
if math.abs(now - tonumber(ARGV[3])) > 500 then return {-1, ''} end
local taken = 0

local function tag_at(site, shards, shard)
  return prefix .. ':{' .. site .. (shards > 1 and '/' .. shard or '') .. '}:'
end

-- Those whose deadline has passed, of all parts of a site, in the order of their deadlines: a user with sessions in
-- several parts goes with the last of them.
local function silent_in(site, shards)
  local found = {}
  for shard = 0, shards - 1 do
    local tag = tag_at(site, shards, shard)
    local due = tag .. 'due'
    local silent = note(due, pcall('ZRANGEBYSCORE', due, '-inf', now - slack, 'WITHSCORES', 'LIMIT', 0, budget - taken - #found))
    for i = 1, #silent, 2 do found[#found + 1] = {tag = tag, id = silent[i], at = silent[i + 1]} end
  end
  if shards > 1 then table.sort(found, function(a, b) return tonumber(a.at) < tonumber(b.at) end) end
  return found
end

local function take(one, site, shards, retention)
  local session = one.tag .. 'session:' .. one.id
  local known = note(session, pcall('HMGET', session, 'user', 'left'))
  if known.err then known = {false, false} end
  pcall('ZREM', one.tag .. 'due', one.id)
  pcall('HDEL', session, 'due', 'left')
  session_goes(one.tag, site, shards, retention, one.id, known[1], one.at, known[2])
  taken = taken + 1
end

local function nobody_in(site, shards)
  for shard = 0, shards - 1 do
    if call('EXISTS', tag_at(site, shards, shard) .. 'due') == 1 then return false end
  end
  return true
end

local sites = note(KEYS[1], pcall('HGETALL', KEYS[1]))
for i = 1, #sites, 2 do
  local shards, site = string.match(sites[i], '^(%d+) (.*)$')
  shards = tonumber(shards) or 0
  for _, one in ipairs(silent_in(site, shards)) do take(one, site, shards, tonumber(sites[i + 1]) or DAY) end
  if nobody_in(site, shards) then call('HDEL', KEYS[1], sites[i]) end
end
return {taken, why}
