-- Applies one numbered batch of signs of life, exactly once.
-- KEYS: the node's own hash, the hash of sites.
-- ARGV: batch number, number of the last batch that was acknowledged, version, how long the node's hash is kept, prefix;
--       then for each group of sessions: site, shards, retention, timeout, gap, grace, number of entries; then for each
--       entry: id, end and start of a run of signs, end (empty: none that is new) and start of a run of activity, new
--       beats, source, bits, user, page (empty: nothing new). Bits: 1 must be kept for longer, 2 a run that is past,
--       4 the visitor said goodbye. Entries of one session come in the order of time.
-- Answers: 1 applied or 0 applied before; the entries that failed; 1 if Redis lost earlier batches; the first error.
local KEEP, PAST, LEFT = 1, 2, 4
local ENTRY = 10
local JITTER = 100 -- by so much may two flushes differ in what time a sign came, from one measurement of the clock to the next
local node, number = KEYS[1], tonumber(ARGV[1])
prefix = ARGV[5]
local before = tonumber(call('HGET', node, 'batch') or 0)
if before >= number then
  return {0, call('HGET', node, 'failed') or '', tonumber(call('HGET', node, 'lost') or 0), ''}
end
local lost = before < tonumber(ARGV[2]) and 1 or 0
-- From here on the batch counts as applied, so nothing may raise an error: what fails is told and stays changed.
call('HSET', node, 'batch', ARGV[1], 'flush', now, 'version', ARGV[3], 'failed', '', 'lost', lost)
pcall('PEXPIRE', node, ARGV[4])

local failed = {}
local function fail(entry, key, answer)
  failed[#failed + 1] = entry
  note(key, answer)
end

-- --- runs: stretches of time whose neighbours are more than a gap apart ---

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

-- Adds a stretch to the days of a user.
local function add_days(tag, kind, user, from, to, kept)
  while from < to do
    local day = math.floor(from / DAY)
    local stop = math.min(to, (day + 1) * DAY)
    local key = tag .. kind .. ':' .. date_of(day)
    local total = note(key, pcall('ZINCRBY', key, stop - from, user))
    if tonumber(total) == stop - from then pcall('PEXPIRE', key, kept) end
    from = stop
  end
end

-- Earlier runs as text: up to where nothing more is counted, then the runs.
local function read_runs(text)
  local floor, runs = 0, {}
  if text then
    floor = tonumber(string.match(text, '^%d+')) or 0
    for from, to in string.gmatch(text, '(%d+)-(%d+)') do runs[#runs + 1] = {tonumber(from), tonumber(to)} end
  end
  return floor, runs
end

local function write_runs(floor, runs)
  local words = {string.format('%d', floor)}
  for i, run in ipairs(runs) do words[i + 1] = string.format('%d-%d', run[1], run[2]) end
  return table.concat(words, ' ')
end

-- Puts a run among the others. What it newly covers goes to `cover`. Answers the floor and the runs.
local function merge(floor, runs, from, to, gap, cover)
  from = math.max(from, floor)
  if to < from then return floor, runs end
  local merged, start, stop, covered = {}, from, to, nil
  local function place()
    if not start then return end
    if stop > (covered or start) then cover(covered or start, stop) end
    merged[#merged + 1] = {start, stop}
    start = nil
  end
  for _, run in ipairs(runs) do
    if run[2] + gap < from then
      merged[#merged + 1] = run
    elseif run[1] - gap > to then
      place()
      merged[#merged + 1] = run
    else
      start = math.min(start, run[1])
      stop = math.max(stop, run[2])
      if run[1] > (covered or start) then cover(covered or start, run[1]) end
      covered = run[2]
    end
  end
  place()
  while #merged > 16 do
    floor = merged[1][2]
    table.remove(merged, 1)
  end
  return floor, merged
end

-- Adds the run [from, to] to what `hash` knows of a kind: the latest run in fields of its own, the earlier ones in a
-- text that is only looked at if the run does not simply go on. Answers the start and end of the latest run.
local function add_run(hash, kind, first, last, from, to, gap, cover)
  if not last then
    if to > from then cover(from, to) end
    return from, to
  end
  first = math.min(first or last, last)
  if from >= first and from <= last + gap then
    if to <= last then return first, last end
    cover(last, to)
    return first, to
  end
  local field = kind .. '_earlier'
  local floor, runs = read_runs(note(hash, pcall('HGET', hash, field)))
  runs[#runs + 1] = {first, last}
  table.sort(runs, function(a, b) return a[1] < b[1] end)
  floor, runs = merge(floor, runs, from, to, gap, cover)
  local latest = table.remove(runs)
  note(hash, pcall('HSET', hash, field, write_runs(floor, runs)))
  return latest[1], latest[2]
end

-- --- the entries ---

local group -- the settings of the sessions at hand
local user_tags = {}

local function add_user_time(user, e)
  local tag = tag_of(group.site, group.shards, user)
  local key = tag .. 'user:' .. user
  user_tags[tag] = math.max(user_tags[tag] or 0, group.kept)
  local known = note(key, pcall('HMGET', key, 'open_from', 'open_to', 'active_from', 'active_to'))
  if known.err then return end
  local function day(kind)
    return function(from, to) add_days(tag, kind, user, from, to, group.kept) end
  end
  local words = {}
  words[2], words[4] = add_run(key, 'open', tonumber(known[1]), tonumber(known[2]), e.from, e.to, group.timeout, day('open'))
  words[1], words[3] = 'open_from', 'open_to'
  if e.active_to then
    words[6], words[8] = add_run(key, 'active', tonumber(known[3]), tonumber(known[4]), e.active_from, e.active_to, group.gap,
      day('active'))
    words[5], words[7] = 'active_from', 'active_to'
  end
  note(key, pcall('HSET', key, unpack(words)))
  if not known[1] or e.keep then pcall('PEXPIRE', key, group.kept) end
end

-- Whether the session is here. Answers its deadline, and whether that is news: what is older than the last sign is not,
-- but for a user where none is known yet.
local function add_presence(tag, e, last, due, left, user_before, user)
  if last and (e.to < last or e.to == last and not due) then
    if due and user and not user_before then user_comes(group.site, group.shards, group.retention, user, e.from) end
    return due, false
  end
  if due and e.from >= due then -- silent for too long, then back
    session_goes(tag, group.site, group.shards, group.retention, e.id, user_before, due, left)
    due = nil
  end
  if not due then
    local at = (not last or e.from > last) and e.from or e.to
    session_comes(tag, group.site, group.shards, group.retention, e.id, user, at)
    group.came = true
  elseif user ~= user_before then
    if user_before then user_goes(group.site, group.shards, group.retention, user_before, e.from) end
    user_comes(group.site, group.shards, group.retention, user, e.from)
  end
  return e.left and e.to + math.min(group.grace, group.timeout) or e.to + group.timeout, true
end

local function store(tag, e, dues)
  local key = tag .. 'session:' .. e.id
  local known = pcall('HMGET', key, 'last', 'open_from', 'last_active', 'active_from', 'open_ms', 'active_ms', 'beats',
    'user', 'due', 'left', 'first')
  if known.err then return known end
  local last, user_before = tonumber(known[1]), known[8]
  local late = last and e.to < last
  local user = e.user ~= '' and e.user or user_before
  local open, active = tonumber(known[5]) or 0, tonumber(known[6]) or 0
  local due, news = add_presence(tag, e, last, tonumber(known[9]), known[10], user_before, user)
  local words = {'beats', (tonumber(known[7]) or 0) + e.beats}
  local function set(field, value)
    words[#words + 1] = field
    words[#words + 1] = value
  end
  local first, latest = add_run(key, 'open', tonumber(known[2]), last, e.from, e.to, group.timeout,
    function(from, to) open = open + to - from end)
  set('open_from', first)
  set('last', latest)
  set('open_ms', open)
  if e.active_to then
    local from, to = add_run(key, 'active', tonumber(known[4]), tonumber(known[3]), e.active_from, e.active_to, group.gap,
      function(from, to) active = active + to - from end)
    set('active_from', from)
    set('last_active', to)
    set('active_ms', active)
  end
  if news then
    set('source', e.source)
    set('due', due)
    dues[#dues + 1] = due
    dues[#dues + 1] = e.id
    if e.left then set('left', e.to) elseif known[10] then pcall('HDEL', key, 'left') end
  end
  local earliest = tonumber(known[11])
  if not earliest or e.from < earliest - JITTER then set('first', e.from) end
  if e.user ~= '' and not (late and user_before) then set('user', e.user) end
  if e.page ~= '' and not late then set('page', e.page) end
  local answer = pcall('HSET', key, unpack(words))
  if e.page ~= '' and late then pcall('HSETNX', key, 'page', e.page) end
  if not last or e.keep then pcall('PEXPIRE', key, group.kept) end
  if user then add_user_time(user, e) end
  return answer
end

local function read_entry(at)
  local bits = tonumber(ARGV[at + 7])
  local active_to = ARGV[at + 3]
  return {
    id = ARGV[at], to = tonumber(ARGV[at + 1]), from = tonumber(ARGV[at + 2]),
    active_to = active_to ~= '' and tonumber(active_to), active_from = tonumber(ARGV[at + 4]),
    beats = tonumber(ARGV[at + 5]), source = ARGV[at + 6], user = ARGV[at + 8], page = ARGV[at + 9],
    keep = bits % 2 >= KEEP, left = bits >= LEFT,
  }
end

-- The sorted sets of one part of a site. What stands in their place spoils the entries, before anything is written.
local function begin_part(tag, entries)
  local seen, scores = tag .. 'seen', {}
  for i, e in ipairs(entries) do
    scores[2 * i - 1] = e.to
    scores[2 * i] = e.id
  end
  local wrong = note(tag .. 'due', pcall('ZCARD', tag .. 'due'))
  if type(wrong) ~= 'table' then wrong = note(seen, pcall('ZADD', seen, 'GT', unpack(scores))) end
  if type(wrong) == 'table' then return false end
  pcall('PEXPIRE', seen, group.kept)
  local old = pcall('ZRANGEBYSCORE', seen, '-inf', now - group.retention, 'LIMIT', 0, #entries + 100)
  if not old.err and #old > 0 then pcall('ZREM', seen, unpack(old)) end
  return true
end

local function apply_part(tag, entries)
  local good = begin_part(tag, entries)
  local dues = {}
  for _, e in ipairs(entries) do
    if not good then
      fail(e.number, tag)
    else
      local answer = store(tag, e, dues)
      if type(answer) == 'table' then fail(e.number, tag .. 'session:' .. e.id, answer) end
    end
  end
  if #dues > 0 then
    note(tag .. 'due', pcall('ZADD', tag .. 'due', unpack(dues)))
    pcall('PEXPIRE', tag .. 'due', group.kept)
  end
end

local at, entry = 6, 0
while at <= #ARGV do
  group = {
    site = ARGV[at], shards = tonumber(ARGV[at + 1]), retention = tonumber(ARGV[at + 2]),
    timeout = tonumber(ARGV[at + 3]), gap = tonumber(ARGV[at + 4]), grace = tonumber(ARGV[at + 5]),
  }
  group.kept = math.floor(math.max(group.retention * 1.125, group.timeout + 60000))
  local count = tonumber(ARGV[at + 6])
  local parts, order = {}, {}
  at = at + 7
  for _ = 1, count do
    local e = read_entry(at)
    e.number = entry
    local tag = tag_of(group.site, group.shards, e.id)
    if not parts[tag] then
      parts[tag] = {}
      order[#order + 1] = tag
    end
    table.insert(parts[tag], e)
    at = at + ENTRY
    entry = entry + 1
  end
  for _, tag in ipairs(order) do apply_part(tag, parts[tag]) end
  if group.came then
    note(KEYS[2], pcall('HSET', KEYS[2], string.format('%d %s', group.shards, group.site), group.retention))
  end
end
-- The count of a user's sessions is kept for as long as these: without it, those who stayed online while Redis was away
-- would never be counted again.
for tag, kept in pairs(user_tags) do
  local left = pcall('PTTL', tag .. 'user')
  if left ~= -2 and left < kept then pcall('PEXPIRE', tag .. 'user', kept) end
end
table.sort(failed)
if #failed > 0 then pcall('HSET', node, 'failed', table.concat(failed, ',')) end
return {1, table.concat(failed, ','), lost, why}
