-- Gives up the page views of one part of a site whose session went, and counts what they never said.
-- KEYS: when to look at each view again.
-- ARGV: prefix, site, shards, the start of the part's keys, retention, timeout, how many views to look at at most.
-- Answers: views looked at, the first error.
local site, shards, tag = ARGV[2], tonumber(ARGV[3]), ARGV[4]
local retention, timeout = tonumber(ARGV[5]), tonumber(ARGV[6])
local format = string.format
prefix = ARGV[1]
local kept = format('%d', math.floor(math.max(retention * 1.125, timeout + 60000)))
local ripe = call('ZRANGEBYSCORE', KEYS[1], '-inf', format('%d', now), 'LIMIT', 0, ARGV[7])
if #ripe == 0 then return {0, ''} end

-- Looked at again after the timeout, unless it is over with a view. Where Redis has no memory left, this fails and with
-- it all; after it nothing may raise an error.
local words, over = {}, {}
for i, name in ipairs(ripe) do words[2 * i - 1], words[2 * i] = format('%d', now + timeout), name end
call('ZADD', KEYS[1], 'XX', unpack(words))
pcall('PEXPIRE', KEYS[1], kept)

-- Whether the session is here, and its last sign of life, if that is known.
local function look_at_session(id)
  if not id then return false end
  local key = tag_of(site, shards, id) .. 'session:' .. id
  local state = note(key, pcall('HGET', key, 'state'))
  if type(state) ~= 'string' then return false end
  local flags, last = read_state(state)
  return flags and flags % 2 >= ONLINE, last
end

-- Loaded and never left: where the session went on for long without a word of this view, nothing was lost on its way.
local function fate(view, last)
  if not view.load or view.leave then return '-' end
  return last and last > view.seen + timeout / 2 and 'elsewhere' or 'lost'
end

local function tell_given_up(name, view, missing)
  local left, batches = view.leave and '1' or '0', format('%d', view.batches)
  if view.session then
    tell(tag, retention, 'event', 'view-given-up', 'view', name, 'session', view.session, 'batches', batches, 'missing',
      missing, 'left', left, 'at', format('%d', now))
  else
    tell(tag, retention, 'event', 'view-given-up', 'view', name, 'batches', batches, 'missing', missing, 'left', left,
      'at', format('%d', now))
  end
end

-- A view may be given up more than once: what was counted then is not counted again.
local function give_up(name, key, view, last)
  local counted = view.counted or {day = math.floor(view.seen / DAY), leave = '-', missing = 0, choice = view.choice or UNKNOWN,
    family = view.family or 'other'}
  local missing = math.max(0, view.high + 1 - view.batches)
  local more, gone = math.max(0, missing - counted.missing), counted.leave == '-' and fate(view, last) or '-'
  counted.missing = counted.missing + more
  if gone ~= '-' then counted.leave = gone end
  if type(note(key, pcall('HSET', key, 'state', 'given-up', 'counted', counted_text(counted)))) == 'table' then return end
  pcall('PEXPIRE', key, kept)
  pcall('PEXPIRE', tag .. 'batch:' .. name, kept)
  if more > 0 then count_missing(tag, counted, more) end
  if gone ~= '-' then count_gone(tag, counted, 1) end
  tell_given_up(name, view, format('%d', missing))
end

-- Answers whether it is over with the view.
local function look_at(name)
  local key = tag .. 'view:' .. name
  local known = note(key, pcall('HMGET', key, 'state', 'session', 'family', 'choice', 'load', 'leave', 'batches', 'last',
    'final', 'seen', 'counted'))
  if known.err or known[1] ~= 'open' then return true end
  local here, last = look_at_session(known[2])
  if here then return false end
  give_up(name, key, {
    session = known[2], family = known[3] or nil, choice = known[4] or nil, load = known[5], leave = known[6],
    batches = whole(known[7]) or 0, high = math.max(whole(known[8]) or -1, whole(known[9]) or -1),
    seen = whole(known[10]) or now, counted = read_counted(known[11]),
  }, last)
  return true
end

for _, name in ipairs(ripe) do
  if look_at(name) then over[#over + 1] = name end
end
if #over > 0 then pcall('ZREM', KEYS[1], unpack(over)) end
write_counts(kept)
return {#ripe, why}
