-- Applies one numbered batch of last-seen times, exactly once.
-- KEYS: the node's own hash, then for each site of the batch its sorted set of last-seen times.
-- ARGV: batch number, number of the last batch that was acknowledged, version, how long the node's hash is kept; then
--       for each site: the prefix of its session keys, its retention, its number of sessions; then for each session:
--       id, last seen, last active, first seen, new beats, source. "Last active" is empty where it did not change,
--       "first seen" where the session was stored before and need not be kept for longer than it is already.
-- Answers: 1 applied or 0 applied before; the entries that failed; 1 if Redis lost earlier batches; the first error.
-- All times are milliseconds, by the clock of Redis.
local call, pcall = redis.call, redis.pcall
local node, number = KEYS[1], tonumber(ARGV[1])
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local before = tonumber(call('HGET', node, 'batch') or 0)
if before >= number then
  return {0, call('HGET', node, 'failed') or '', tonumber(call('HGET', node, 'lost') or 0), ''}
end
local lost = before < tonumber(ARGV[2]) and 1 or 0
-- From here on the batch counts as applied, so nothing may raise an error: what fails is told and stays changed.
call('HSET', node, 'batch', ARGV[1], 'flush', now, 'version', ARGV[3], 'failed', '', 'lost', lost)
pcall('PEXPIRE', node, ARGV[4])

local failed, why = {}, ''
local function fail(entry, key, answer)
  failed[#failed + 1] = entry
  if why == '' then why = key .. ': ' .. answer.err end
end

-- A time that must not go backwards: a number if it was set, false if not, or an error.
local function advance(key, field, value)
  local old = pcall('HGET', key, field)
  if type(old) == 'table' then return old end
  if tonumber(value) <= (tonumber(old or 0) or 0) then return false end
  return pcall('HSET', key, field, value)
end

-- Stores one session. Mostly every session of a site moves on; if not, another host saw one of them later, or it is
-- sent again. Answers an error, or something else.
local function store(key, at, moved, kept)
  local last, active, first, beats = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local total = pcall('HINCRBY', key, 'beats', beats)
  if type(total) == 'table' then return total end
  local new, answer = total == tonumber(beats), nil
  if new then
    answer = pcall('HSET', key, 'last', last, 'source', ARGV[at + 5], 'first', first ~= '' and first or last)
  elseif moved then
    answer = pcall('HSET', key, 'last', last, 'source', ARGV[at + 5])
  else
    answer = advance(key, 'last', last)
    if type(answer) == 'number' then answer = pcall('HSET', key, 'source', ARGV[at + 5]) end
  end
  if active ~= '' and type(answer) ~= 'table' then answer = advance(key, 'last_active', active) end
  if new or first ~= '' then pcall('PEXPIRE', key, kept) end
  return answer
end

local at, entry = 5, 0
for site = 2, #KEYS do
  local seen, prefix, retention, count = KEYS[site], ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local kept = math.floor(retention * 1.125)
  local scores = {}
  at = at + 3
  for i = 1, count do
    scores[2 * i - 1] = ARGV[at + 6 * i - 5]
    scores[2 * i] = ARGV[at + 6 * i - 6]
  end
  local moved = pcall('ZADD', seen, 'GT', 'CH', unpack(scores))
  for i = 1, count do
    if type(moved) == 'table' then
      fail(entry, seen, moved)
    else
      local answer = store(prefix .. ARGV[at], at, moved == count, kept)
      if type(answer) == 'table' then fail(entry, prefix .. ARGV[at], answer) end
    end
    at = at + 6
    entry = entry + 1
  end
  if type(moved) ~= 'table' then
    pcall('PEXPIRE', seen, kept)
    local old = pcall('ZRANGEBYSCORE', seen, '-inf', now - retention, 'LIMIT', 0, count + 100)
    if not old.err and #old > 0 then pcall('ZREM', seen, unpack(old)) end
  end
end
if #failed > 0 then pcall('HSET', node, 'failed', table.concat(failed, ',')) end
return {1, table.concat(failed, ','), lost, why}
