-- What the scripts that change presence share: how a session comes and goes, and who is told.
-- Keys are made here from the prefix and the site: with N > 1 shards, a name lies in the shard that the first eight hex
-- digits of its SHA-1 give, modulo N. All times are milliseconds, by the clock of Redis.
local call, pcall = redis.call, redis.pcall
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local DAY = 86400000
local prefix, why = '', ''

local function note(key, answer)
  if why == '' and type(answer) == 'table' and answer.err then why = key .. ': ' .. answer.err end
  return answer
end

-- The start of the keys of a site's part that has `name`.
local whole = {}
local function tag_of(site, shards, name)
  if shards == 1 then
    local tag = whole[site] or prefix .. ':{' .. site .. '}:'
    whole[site] = tag
    return tag
  end
  local shard = tonumber(string.sub(redis.sha1hex(name), 1, 8), 16) % shards
  return prefix .. ':{' .. site .. '/' .. string.format('%d', shard) .. '}:'
end

-- Days since 1970 as YYYY-MM-DD (proleptic Gregorian calendar).
local dates = {}
local function date_of(day)
  if dates[day] then return dates[day] end
  local z = day + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  dates[day] = string.format('%04d-%02d-%02d', year, month, doy - math.floor((153 * mp + 2) / 5) + 1)
  return dates[day]
end

-- What is known of a session, in one field, because reading one is far cheaper than reading nine: flags, last sign, start
-- of the latest run of signs, last activity, start of the latest run of activity, deadline, time open, time active, signs
-- of life, since when it is its user's (0: has none). Other fields show parts of it to people. Together they stay below
-- what Redis keeps as one piece of memory (64 bytes a field).
local STATE, STATE_BYTES = '>I1I6I6I6I6I6I6I6I4I6', 53
-- Flags: counted as online, has signs put aside, has a user; and 1 + kind of the last sign, times SOURCE (0: look up).
local ONLINE, ASIDE, NAMED, SOURCE = 1, 2, 4, 8

-- Answers nothing where there is no state.
local function read_state(text)
  if text and #text == STATE_BYTES then return struct.unpack(STATE, text) end
end

-- Writes an event; the stream forgets what is older than the retention.
local function tell(tag, retention, ...)
  local key = tag .. 'events'
  local answer = note(key, pcall('XADD', key, 'MINID', '~', math.max(0, math.floor(now - retention)), '*', ...))
  if not answer.err then pcall('PEXPIRE', key, math.floor(retention * 1.125)) end
end

local function user_comes(site, shards, retention, user, at)
  local tag = tag_of(site, shards, user)
  local sessions = note(tag .. 'user', pcall('HINCRBY', tag .. 'user', user, 1))
  if sessions == 1 then tell(tag, retention, 'event', 'user-online', 'user', user, 'at', at) end
end

local function user_goes(site, shards, retention, user, at)
  local tag = tag_of(site, shards, user)
  local sessions = note(tag .. 'user', pcall('HINCRBY', tag .. 'user', user, -1))
  if type(sessions) ~= 'number' or sessions > 0 then return end
  pcall('HDEL', tag .. 'user', user)
  if sessions == 0 then tell(tag, retention, 'event', 'user-offline', 'user', user, 'at', at) end
end

local function tell_session(tag, retention, event, id, user, at)
  if user then tell(tag, retention, 'event', event, 'id', id, 'user', user, 'at', at)
  else tell(tag, retention, 'event', event, 'id', id, 'at', at) end
end

local function session_comes(tag, site, shards, retention, id, user, at)
  tell_session(tag, retention, 'online', id, user, at)
  if user then user_comes(site, shards, retention, user, at) end
end

-- `left` is when the visitor said goodbye, if that is why.
local function session_goes(tag, site, shards, retention, id, user, at, left)
  if left then tell_session(tag, retention, 'leave', id, user, left) end
  tell_session(tag, retention, 'offline', id, user, at)
  if user then user_goes(site, shards, retention, user, at) end
end

-- Signs that cannot be judged before all hosts had the time to tell theirs: the deadline (0: not here) and the latest sign
-- before them, then for each its beginning and end, how long the session stays after it, and L where the visitor said
-- goodbye.
local function begin_aside(due, latest) return string.format('%d:%d', due, latest) end
local function put_aside(text, from, to, stays, left)
  return string.format('%s %d-%d-%d%s', text, from, to, stays, left and 'L' or '')
end

