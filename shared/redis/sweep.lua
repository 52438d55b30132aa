-- Finds the sessions that fell silent, in all sites of this prefix, whether the asking host has them or not.
-- When a session is to be looked at, the sorted set "online" says; it may have been seen again meanwhile, and is then to
-- be looked at later.
-- KEYS: the hash of sites ("SHARDS SITE" -> retention). ARGV: prefix, how long after its deadline a session is taken (a
-- sign of life may still be on its way), what time the asking host believes it is, most sessions to take.
-- Answers: sessions looked at, -1 where this command has waited too long to know what other hosts have sent; the first error.
prefix = ARGV[1]
local slack, budget = tonumber(ARGV[2]), tonumber(ARGV[4])
if math.abs(now - tonumber(ARGV[3])) > 500 then return {-1, ''} end
local MOST_SHARDS = 1024 -- of heartbeat_shards
local taken = 0

local settled = now - slack -- what happened until then, every host has told

-- Judges the signs that were put aside, in the order of time; `due` counts where they do not say a deadline. Answers the
-- deadline (0: is not here) and, as text, what must still be put aside: signs that are too young, and a goodbye that may
-- yet be taken back; and until when.
local function judge(text, due, goes, comes)
  local before, latest = string.match(text, '^(%d+):(%d+)')
  due, latest = tonumber(before) or due, tonumber(latest) or 0
  local left
  local signs, rest = {}, {}
  for from, to, stays, bye in string.gmatch(text, '(%d+)-(%d+)-(%d+)(L?)') do
    signs[#signs + 1] = {from = tonumber(from), to = tonumber(to), stays = tonumber(stays), left = bye ~= ''}
  end
  table.sort(signs, function(a, b)
    if a.from ~= b.from then return a.from < b.from end
    if a.to ~= b.to then return a.to < b.to end
    return b.left and not a.left
  end)
  for _, sign in ipairs(signs) do
    if sign.from > settled then
      rest[#rest + 1] = sign
    else
      if sign.from >= due then
        if due > 0 then goes(due, left) end
        comes(sign.from)
        due, left = 0, nil
      end
      local news = sign.to > latest or sign.left and sign.to == latest
      if news and (sign.left or not left or sign.to > left) then
        left = sign.left and sign.to or nil
        due = left and left + sign.stays or math.max(due, sign.to + sign.stays)
        latest = sign.to
      end
    end
  end
  if due > 0 and due <= settled then
    goes(due, left)
    due, left = 0, nil
  end
  if not left and #rest == 0 then return due end
  local aside = begin_aside(due, left and 0 or latest)
  if left then aside = put_aside(aside, left, left, due - left, true) end
  for _, sign in ipairs(rest) do aside = put_aside(aside, sign.from, sign.to, sign.stays, sign.left) end
  local again = rest[1] and rest[1].from or due
  return due, aside, due > 0 and math.min(due, again) or again
end

-- What is to be told of a site, by when it happened (a goodbye together with the end that it led to): one session may be
-- looked at after another that went later, and a user is away only if all of his sessions are at the same time.
local happened
local function later(at, tell) happened[#happened + 1] = {at = at, number = #happened, tell = tell} end
local function tell_all()
  table.sort(happened, function(a, b)
    if a.at ~= b.at then return a.at < b.at end
    return a.number < b.number
  end)
  for _, one in ipairs(happened) do one.tell() end
end

local function decide(tag, site, shards, retention, id)
  local session = tag .. 'session:' .. id
  local known = note(session, pcall('HMGET', session, 'state', 'user', 'pending'))
  local flags, last, open_from, last_active, active_from, due, open, active, beats, named
  if not known.err then
    flags, last, open_from, last_active, active_from, due, open, active, beats, named = read_state(known[1])
  end
  if not flags or flags % 2 == 0 and not known[3] then -- lost, or not ours: nobody knows that it was here
    pcall('ZREM', tag .. 'online', id)
    pcall('ZREM', tag .. 'undecided', id)
    return
  end
  local user, rest, again = known[2], nil, nil
  local function goes(at, bye) later(at, function() session_goes(tag, site, shards, retention, id, user, at, bye) end) end
  local function comes(at) later(at, function() session_comes(tag, site, shards, retention, id, user, at) end) end
  if known[3] then
    due, rest, again = judge(known[3], due, goes, comes)
  elseif due <= settled then
    goes(due)
    due = 0
  end
  flags = flags - flags % SOURCE + (due > 0 and ONLINE or 0) + (rest and ASIDE or 0) + (user and NAMED or 0)
  pcall('HSET', session, 'state', struct.pack(STATE, flags, last, open_from, last_active, active_from, due, open, active,
    beats, named))
  if due > 0 then pcall('ZADD', tag .. 'online', due, id) else pcall('ZREM', tag .. 'online', id) end
  if rest then
    pcall('HSET', session, 'pending', rest)
    pcall('ZADD', tag .. 'undecided', again, id)
  else
    pcall('HDEL', session, 'pending')
    pcall('ZREM', tag .. 'undecided', id)
  end
end

local function tag_at(site, shards, shard)
  return prefix .. ':{' .. site .. (shards > 1 and '/' .. shard or '') .. '}:'
end

-- Whom to look at, in all parts of a site.
local function ripe(site, shards)
  local found = {}
  for shard = 0, shards - 1 do
    local tag = tag_at(site, shards, shard)
    for _, key in ipairs({tag .. 'undecided', tag .. 'online'}) do
      local some = note(key, pcall('ZRANGEBYSCORE', key, '-inf', settled, 'LIMIT', 0, budget - taken))
      for _, id in ipairs(some) do found[#found + 1] = {tag = tag, id = id} end
      taken = taken + #some
    end
  end
  return found
end

local function nobody_in(site, shards)
  for shard = 0, shards - 1 do
    local tag = tag_at(site, shards, shard)
    if call('EXISTS', tag .. 'online', tag .. 'undecided') > 0 then return false end
  end
  return true
end

local sites = note(KEYS[1], pcall('HGETALL', KEYS[1]))
for i = 1, #sites, 2 do
  local shards, site = string.match(sites[i], '^(%d+) (.*)$')
  shards = tonumber(shards) or 0
  if shards > MOST_SHARDS then shards = 0 end
  happened = {}
  for _, one in ipairs(ripe(site, shards)) do decide(one.tag, site, shards, tonumber(sites[i + 1]) or DAY, one.id) end
  tell_all()
  if nobody_in(site, shards) then call('HDEL', KEYS[1], sites[i]) end
end
return {taken, why}
