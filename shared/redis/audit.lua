-- Reads active and open times of users, day by day. Writes nothing.
-- ARGV: prefix, site, number of shards, first day and last day (days since 1970, UTC; empty: see below), user (empty:
--       all), the name after which this page begins (empty: at the first), how many users at most, how many bytes of
--       text at most, how many sorted sets and entries of them at most are read for it, how many days at most.
-- No day given: today, by the clock of Redis. Only the last: that day. Only the first: until today.
-- Answers: the time (ms since 1970); the first day; the last day; how many users there are, -1 if too much would have
--       to be read; how many of them are behind this page; the page, one user after the other: SIZE:NAME, then for
--       each day with any time DAY,ACTIVE,OPEN; (days since the first, times in ms) and a line end. Of too many days
--       nothing is read.
local call, floor, concat = redis.call, math.floor, table.concat
local prefix, site, shards = ARGV[1], ARGV[2], tonumber(ARGV[3])
local user, after = ARGV[6], ARGV[7]
local most_users, most_bytes, most_entries = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local time = call('TIME')
local now = time[1] * 1000 + floor(time[2] / 1000)
local today = floor(time[1] / 86400)
local first = tonumber(ARGV[4]) or tonumber(ARGV[5]) or today
local last = tonumber(ARGV[5]) or math.max(first, today)
if last - first >= tonumber(ARGV[11]) then return {now, first, last, 0, 0, ''} end

-- The date of a day since 1970: counted in years that begin in March, so that a leap day is the last of its year.
local function date(day)
  day = day + 719468
  local era = floor(day / 146097)
  local of_era = day - era * 146097
  local year = floor((of_era - floor(of_era / 1460) + floor(of_era / 36524) - floor(of_era / 146096)) / 365)
  local of_year = of_era - (365 * year + floor(year / 4) - floor(year / 100))
  local month = floor((5 * of_year + 2) / 153)
  local of_month = of_year - floor((153 * month + 2) / 5) + 1
  year = year + era * 400
  if month < 10 then month = month + 3 else month, year = month - 9, year + 1 end
  return string.format('%04d-%02d-%02d', year, month, of_month)
end

local function shard(number)
  if shards <= 1 then return prefix .. ':{' .. site .. '}:' end
  return prefix .. ':{' .. site .. '/' .. number .. '}:'
end

-- A time as whole milliseconds, whatever somebody may have written there.
local function whole(score)
  local value = tonumber(score)
  if not value or not (value > 0) then return 0 end
  return floor(math.min(value, 1e15))
end

-- The line of one user: `days` holds for each day with any time the day's number, active and open time.
local function line(name, days)
  local text = {#name, ':', name}
  for i = 1, #days, 3 do text[#text + 1] = string.format('%d,%.0f,%.0f;', days[i], days[i + 1], days[i + 2]) end
  text[#text + 1] = '\n'
  return concat(text)
end

if user ~= '' then
  local start = shard(tonumber(string.sub(redis.sha1hex(user), 1, 8), 16) % shards)
  local days = {}
  for day = first, last do
    local name = date(day)
    local active = whole(call('ZSCORE', start .. 'active:' .. name, user))
    local open = whole(call('ZSCORE', start .. 'open:' .. name, user))
    if active + open > 0 then
      local size = #days
      days[size + 1], days[size + 2], days[size + 3] = day - first, active, open
    end
  end
  if #days == 0 then return {now, first, last, 0, 0, ''} end
  return {now, first, last, 1, 0, line(user, days)}
end

local entries = 2 * shards * (last - first + 1)
if entries > most_entries then return {now, first, last, -1, 0, ''} end
for day = first, last do
  local name = date(day)
  for number = 0, shards - 1 do
    local start = shard(number)
    entries = entries + call('ZCARD', start .. 'active:' .. name) + call('ZCARD', start .. 'open:' .. name)
  end
end
if entries > most_entries then return {now, first, last, -1, 0, ''} end

-- Of each user the days so far; a day that has both times is their last triple when the second one comes.
local users, names = {}, {}
local function collect(key, day, place)
  local found = call('ZRANGE', key, 0, -1, 'WITHSCORES')
  for i = 1, #found, 2 do
    local value = whole(found[i + 1])
    if value > 0 then
      local name = found[i]
      local days = users[name]
      if not days then
        days = {}
        users[name] = days
        names[#names + 1] = name
      end
      local size = #days
      if days[size - 2] ~= day then
        days[size + 1], days[size + 2], days[size + 3] = day, 0, 0
        size = size + 3
      end
      days[size - 2 + place] = value
    end
  end
end
for day = first, last do
  local name = date(day)
  for number = 0, shards - 1 do
    local start = shard(number)
    collect(start .. 'active:' .. name, day - first, 1)
    collect(start .. 'open:' .. name, day - first, 2)
  end
end

table.sort(names)
local page, bytes, at = {}, 0, 1
while after ~= '' and at <= #names and (names[at] < after or names[at] == after) do at = at + 1 end
while at <= #names and #page < most_users do
  local text = line(names[at], users[names[at]])
  bytes = bytes + #text
  if bytes > most_bytes and #page > 0 then break end
  page[#page + 1] = text
  at = at + 1
end
return {now, first, last, #names, #names - at + 1, concat(page)}
