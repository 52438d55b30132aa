-- Applies one numbered batch of last-seen times, exactly once.
-- KEYS: the node's own hash, then for each site of the batch its sorted set of last-seen times.
-- ARGV: batch number, number of the last batch that was acknowledged, Redis time at which the batch was made,
--       version, how long the node's hash is kept; then for each site: the prefix of its session keys, its
--       retention, its number of sessions; then for each session: id, and how long before the batch was made it
--       was last seen, last active (-1: never) and first seen, its new beats, its source.
-- Answers: 1 applied or 0 applied before; Redis time; the entries that failed; 1 if Redis lost earlier batches;
--          the first error. All times are milliseconds.
local node, number = KEYS[1], tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local before = tonumber(redis.call('HGET', node, 'batch') or 0)
if before >= number then
  return {0, now, redis.call('HGET', node, 'failed') or '', 0, ''}
end
local lost = before < tonumber(ARGV[2]) and 1 or 0
redis.call('HSET', node, 'batch', ARGV[1], 'flush', now, 'version', ARGV[4], 'failed', '')
redis.call('PEXPIRE', node, ARGV[5])

local made = math.min(tonumber(ARGV[3]), now)
local failed, why = {}, ''
local function fail(entry, key, answer)
  failed[#failed + 1] = entry
  if why == '' then why = key .. ': ' .. answer.err end
end

-- One session: "last" never goes backwards; a hash that is new, or whose last-seen time enters another eighth of
-- the retention, is kept for that long and an eighth more from now on.
local function store(key, at, retention)
  local old = redis.pcall('HMGET', key, 'last', 'last_active', 'beats')
  if old.err then return old end
  local seen = made - ARGV[at + 1]
  local last = tonumber(old[1]) or 0
  local fields = {'beats', (tonumber(old[3]) or 0) + ARGV[at + 4]}
  if seen >= last then
    fields[3], fields[4], fields[5], fields[6] = 'last', seen, 'source', ARGV[at + 5]
  end
  if ARGV[at + 2] ~= '-1' then
    local active = made - ARGV[at + 2]
    if active > (tonumber(old[2]) or 0) then
      fields[#fields + 1] = 'last_active'
      fields[#fields + 1] = active
    end
  end
  if last == 0 then
    fields[#fields + 1] = 'first'
    fields[#fields + 1] = made - ARGV[at + 3]
  end
  local answer = redis.pcall('HSET', key, unpack(fields))
  if type(answer) == 'table' and answer.err then return answer end
  local part = retention / 8
  if math.floor(seen / part) > math.floor(last / part) then
    redis.pcall('PEXPIRE', key, math.floor(retention + part))
  end
end

local at, entry = 6, 0
for site = 2, #KEYS do
  local prefix, retention, count = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  at = at + 3
  local scores = {}
  for i = 0, count - 1 do
    scores[2 * i + 1] = made - ARGV[at + 6 * i + 1]
    scores[2 * i + 2] = ARGV[at + 6 * i]
  end
  local seen = redis.pcall('ZADD', KEYS[site], 'GT', unpack(scores))
  for i = 0, count - 1 do
    if type(seen) == 'table' then
      fail(entry, KEYS[site], seen)
    else
      local fault = store(prefix .. ARGV[at], at, retention)
      if fault then fail(entry, prefix .. ARGV[at], fault) end
    end
    at = at + 6
    entry = entry + 1
  end
  if type(seen) ~= 'table' then
    redis.call('PEXPIRE', KEYS[site], math.floor(retention * 1.125))
    local old = redis.call('ZRANGEBYSCORE', KEYS[site], '-inf', now - retention, 'LIMIT', 0, 100)
    if #old > 0 then redis.call('ZREM', KEYS[site], unpack(old)) end
  end
end
if #failed > 0 then redis.call('HSET', node, 'failed', table.concat(failed, ',')) end
return {1, now, table.concat(failed, ','), lost, why}
