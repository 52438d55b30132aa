-- Applies one numbered batch of signs of life, exactly once.
-- KEYS: the node's own hash, the hash of sites.
-- ARGV: batch number, number of the last batch that was acknowledged, version, how long the node's hash is kept, prefix, 1
--       unless hosts may still be sending what they kept while Redis was away;
--       then for each group of sessions: site, shards, retention, timeout, gap, number of entries; then for each
--       entry: id, end of a run of signs, numbers packed as in NUMBERS, user, page (both empty where not new).
--       Entries of one session come in the order of time.
-- Answers: 1 applied or 0 applied before; the entries that failed; 1 if Redis lost earlier batches; the first error.
-- The end of a run of signs, how long the session stays after it, length of the run, how long before its end the first
-- sign was that was in no batch before, how long before it the last activity was (NEVER: none that is new), length of
-- that run, new beats, kind: which of SOURCES, and bits above.
local NUMBERS, NEVER = '>I6I4I4I4I4I4I4I1', 4294967295
local SOURCES = {
  [SOURCE] = 'ping', [2 * SOURCE] = 'page', [3 * SOURCE] = 'request', [4 * SOURCE] = 'beat', [5 * SOURCE] = 'beacon',
}
local KEEP, LEFT = 8, 16 -- must be kept for longer; the visitor said goodbye
local ENTRY = 5
local JITTER = 100 -- by so much may the time of one sign differ from one measurement of the clock to the next
-- What is done for every session makes no tables and closures, and gives Redis texts: the numbers of a script it writes
-- with 17 digits, which takes as long as half a command.
local argv, format, pack, unpack_struct = ARGV, string.format, struct.pack, struct.unpack
local node, number = KEYS[1], tonumber(argv[1])
prefix = argv[5]
local before = tonumber(call('HGET', node, 'batch') or 0)
if before >= number then
  return {0, call('HGET', node, 'failed') or '', tonumber(call('HGET', node, 'lost') or 0), ''}
end
local calm = argv[6] == '1'
local lost = before < tonumber(argv[2]) and 1 or 0
-- From here on the batch counts as applied, so nothing may raise an error: what fails is told and stays changed.
call('HSET', node, 'batch', argv[1], 'flush', now, 'version', argv[3], 'failed', '', 'lost', lost)
pcall('PEXPIRE', node, argv[4])

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
  dates[day] = format('%04d-%02d-%02d', year, month, doy - math.floor((153 * mp + 2) / 5) + 1)
  return dates[day]
end

local day_keys = {} -- of the parts of sites and their kinds
local function day_key(part, day)
  local keys = day_keys[part] or {}
  day_keys[part] = keys
  local key = keys[day] or part .. ':' .. date_of(day)
  keys[day] = key
  return key
end

local MOST_DAYS = 400
-- Adds a stretch to the days of a user. One of years is none: somebody else wrote there, and it would take for ever.
local function add_days(tag, kind, user, from, to, kept)
  if to - from > MOST_DAYS * DAY then return end
  while from < to do
    local day = math.floor(from / DAY)
    local stop = math.min(to, (day + 1) * DAY)
    local key, length = day_key(tag .. kind, day), format('%d', stop - from)
    if note(key, pcall('ZINCRBY', key, length, user)) == length then pcall('PEXPIRE', key, kept) end
    from = stop
  end
end

local NO_TIME = 2 ^ 48 -- more than six bytes hold
-- Earlier runs as text: up to where nothing more is counted, then the runs.
local function read_runs(text)
  local floor, runs = 0, {}
  if text then
    floor = tonumber(string.match(text, '^%d+')) or 0
    for from, to in string.gmatch(text, '(%d+)-(%d+)') do
      from, to = tonumber(from), tonumber(to)
      if from <= to and to < NO_TIME then runs[#runs + 1] = {from, to} end
    end
  end
  return floor, runs
end

local function write_runs(floor, runs)
  local words = {format('%d', floor)}
  for i, run in ipairs(runs) do words[i + 1] = format('%d-%d', run[1], run[2]) end
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

-- What a user was here for: the runs of all sessions together, the latest of each kind packed like a session's state.
-- `from` and `to` are a run of signs, `active_from` and `active_to` one of activity if there is any.
local USER_STATE, USER_BYTES = '>I6I6I6I6', 24
local function add_user_time(user, from, to, active_from, active_to, keep)
  local tag = tag_of(group.site, group.shards, user)
  user_tags[tag] = math.max(user_tags[tag] or 0, group.timeout)
  local key = tag .. 'user:' .. user
  local known = note(key, pcall('HGET', key, 'state'))
  if type(known) == 'table' then return end
  local open_first, open_last, first, last
  if known and #known == USER_BYTES then open_first, open_last, first, last = unpack_struct(USER_STATE, known) end
  if open_last and from >= open_first and from <= open_last + group.timeout then
    if to > open_last then
      add_days(tag, 'open', user, open_last, to, group.kept)
      open_last = to
    end
  else
    open_first, open_last = add_run(key, 'open', open_first, open_last, from, to, group.timeout,
      function(start, stop) add_days(tag, 'open', user, start, stop, group.kept) end)
  end
  if active_to then
    if last and last ~= 0 and active_from >= first and active_from <= last + group.gap then
      if active_to > last then
        add_days(tag, 'active', user, last, active_to, group.kept)
        last = active_to
      end
    else
      first, last = add_run(key, 'active', first, last ~= 0 and last or nil, active_from, active_to, group.gap,
        function(start, stop) add_days(tag, 'active', user, start, stop, group.kept) end)
    end
  end
  note(key, pcall('HSET', key, 'state', pack(USER_STATE, open_first, open_last, first or 0, last or 0)))
  if not known or keep then pcall('PEXPIRE', key, group.kept) end
end

-- The same of an entry that does not say the name: of its run, what came before the session was this user's is not his.
local function add_time_since(named, user, from, to, active_from, active_to, keep)
  from = math.max(from, tonumber(named or nil) or 0)
  if to < from then return end
  if not active_to or active_to < from then return add_user_time(user, from, to, nil, nil, keep) end
  add_user_time(user, from, to, math.max(active_from, from), active_to, keep)
end

-- Whether the session is here. What follows from all that is known is told at once: a session that is new, or goes on.
-- Where another host may know more (it was silent for too long, it said goodbye, Redis was away), the sign is put aside
-- for the sweep. Answers whether this is the latest sign, the deadline if it is online, and the signs put aside.
local function add_presence(tag, e, last, due, pending, user_before, user)
  local latest = not last or e.to > last or due and e.left and e.to == last
  if due and user ~= user_before then
    if user_before then user_goes(group.site, group.shards, group.retention, user_before, e.fresh) end
    user_comes(group.site, group.shards, group.retention, user, e.fresh)
  end
  if not latest and not pending then return false, due, nil end
  group.came = group.came or not due or pending
  if not due and not pending and calm then
    due = e.fresh + group.timeout
    session_comes(tag, group.site, group.shards, group.retention, e.id, user, e.fresh)
  end
  if not pending and due and not e.left and e.fresh < due then return true, e.to + e.stays, nil end
  if not pending then group.undecided[e.id] = e.left and due and e.to + e.stays or e.fresh end
  pending = put_aside(pending or begin_aside(due or 0, last or 0), e.fresh, e.to, e.stays, e.left)
  return latest, due and (latest and e.to + e.stays or due), pending
end

-- A session has been this user's since `from`: what servers that could not know the name told of the time since is the
-- user's, too.
local function name_since(key, user, renamed, from, open_from, last, active_from, last_active)
  local known = pcall('HMGET', key, 'named', 'open_earlier', 'active_earlier')
  local named = not renamed and tonumber(known[1] or nil)
  if named and named <= from then return end
  pcall('HSET', key, 'named', format('%d', from))
  local function each_since(text, first, stop, add)
    local _, runs = read_runs(text)
    runs[#runs + 1] = {first, stop}
    for _, run in ipairs(runs) do
      if run[2] >= from then add(math.max(run[1], from), run[2]) end
    end
  end
  each_since(known[2], open_from, last, function(first, stop) add_user_time(user, first, stop) end)
  if last_active == 0 then return end
  each_since(known[3], active_from, last_active, function(first, stop)
    add_user_time(user, first, stop, first, stop)
  end)
end

local function has(flags, flag) return flags % (2 * flag) >= flag end

-- The general case. Answers what HSET says.
local function store_any(tag, key, e, flags, last, open_from, last_active, active_from, due, open, active, beats)
  local user_before, pending, words = false, nil, {}
  local function set(field, value)
    words[#words + 1] = field
    words[#words + 1] = value
  end
  if not flags then
    flags, open, active, beats = 0, 0, 0, 0
    set('first', e.from)
  else
    if flags % SOURCE >= ASIDE then
      local known = pcall('HMGET', key, 'user', 'pending')
      user_before, pending = known[1], known[2] or nil
    end
    if e.from < open_from then
      local first = tonumber(pcall('HGET', key, 'first') or nil)
      if not first or e.from < first - JITTER then set('first', e.from) end
    end
  end
  local late = last and e.to < last
  local user = e.user ~= '' and not (late and user_before) and e.user or user_before
  local was_online = has(flags, ONLINE) and due or nil
  local latest, aside
  latest, due, aside = add_presence(tag, e, last, was_online, pending, user_before, user)
  open_from, last = add_run(key, 'open', open_from, last, e.from, e.to, group.timeout,
    function(from, to) open = open + to - from end)
  if e.active_to then
    active_from, last_active = add_run(key, 'active', active_from, last_active ~= 0 and last_active or nil, e.active_from,
      e.active_to, group.gap, function(from, to) active = active + to - from end)
    set('last_active', format('%d', last_active))
    set('active_ms', format('%d', active))
  end
  local source = flags - flags % SOURCE
  if latest then
    source = e.source
    set('source', SOURCES[source])
  end
  if due and (not was_online or due < was_online) then -- the sweep looks no later than that
    group.arrivals[#group.arrivals + 1] = due
    group.arrivals[#group.arrivals + 1] = e.id
  end
  if aside and aside ~= pending then set('pending', aside) end
  if user and user ~= user_before then set('user', user) end
  if e.page ~= '' then
    if late then pcall('HSETNX', key, 'page', e.page) else set('page', e.page) end
  end
  beats = (beats + e.beats) % 4294967296
  flags = source + (due and ONLINE or 0) + (aside and ASIDE or 0) + (user and NAMED or 0)
  local answer = pcall('HSET', key, 'state', pack(STATE, flags, last, open_from, last_active or 0, active_from or 0,
    due or 0, open, active, beats), 'last', last, 'open_ms', open, 'beats', beats, unpack(words))
  if e.keep or #words > 0 and words[1] == 'first' then pcall('PEXPIRE', key, group.kept) end
  if e.user ~= '' then -- one that another name has followed has the time that is told late all the same
    add_user_time(e.user, e.from, e.to, e.active_from, e.active_to, e.keep)
  elseif user then
    add_time_since(pcall('HGET', key, 'named'), user, e.from, e.to, e.active_from, e.active_to, e.keep)
  end
  if user and user == e.user then
    name_since(key, user, user ~= user_before, e.from, open_from, last, active_from or 0, last_active or 0)
  end
  return answer
end

local function read_entry(at)
  local to, stays, open, fresh, active_back, active, beats, kind = unpack_struct(NUMBERS, argv[at + 2])
  local active_to, active_from
  if active_back ~= NEVER then
    active_to = to - active_back
    active_from = active_to - active
  end
  return {
    id = argv[at], to = to, stays = stays, from = to - open, fresh = to - fresh, active_to = active_to,
    active_from = active_from, beats = beats, source = SOURCE * (1 + kind % KEEP), user = argv[at + 3], page = argv[at + 4],
    keep = kind % LEFT >= KEEP, left = kind >= LEFT,
  }
end

local count_texts = {} -- how many beats: many sessions of a batch have the same number
local function count_text(count)
  local text = count_texts[count] or format('%d', count)
  count_texts[count] = text
  return text
end

-- Stores the entry at `at`. Mostly a session is online and goes on: that takes two commands. Answers an error, or
-- something else.
local function store(tag, key, at)
  local known = pcall('HGET', key, 'state')
  if type(known) == 'table' then return known end
  local flags, last, open_from, last_active, active_from, due, open, active, beats = read_state(known)
  local to, stays, back, fresh, active_back, length, new_beats, kind = unpack_struct(NUMBERS, argv[at + 2])
  local from, active_to, start = to - back, nil, nil
  if active_back ~= NEVER then
    active_to = to - active_back
    start = active_to - length
  end
  if not flags or flags % NAMED ~= ONLINE or kind >= KEEP or argv[at + 3] ~= '' or argv[at + 4] ~= '' or to <= last or
     to - fresh >= due or to + stays < due or from > last + group.timeout or from < open_from or active_to and (last_active == 0 or
     active_to < last_active or start < active_from or start > last_active + group.gap) then
    return store_any(tag, key, read_entry(at), flags, last, open_from, last_active, active_from, due, open, active,
      beats)
  end
  local named, source = flags % SOURCE >= NAMED, SOURCE * (1 + kind)
  if flags - flags % SOURCE ~= source then
    flags = source + flags % SOURCE
    pcall('HSET', key, 'source', SOURCES[source])
  end
  open, beats = open + to - last, (beats + new_beats) % 4294967296
  local text, open_text, answer = argv[at + 1], format('%d', open), nil
  if not active_to then
    answer = pcall('HSET', key, 'state', pack(STATE, flags, to, open_from, last_active, active_from, to + stays, open,
      active, beats), 'last', text, 'open_ms', open_text, 'beats', count_text(beats))
  else
    active = active + active_to - last_active
    answer = pcall('HSET', key, 'state', pack(STATE, flags, to, open_from, active_to, active_from, to + stays, open,
      active, beats), 'last', text, 'open_ms', open_text, 'beats', count_text(beats), 'last_active',
      active_to == to and text or format('%d', active_to), 'active_ms', active == open and open_text or format('%d', active))
  end
  if named then
    local said = pcall('HMGET', key, 'user', 'named')
    if said[1] then add_time_since(said[2], said[1], from, to, start, active_to) end
  end
  return answer
end

-- The sorted sets of one part of a site. What stands in their place spoils the entries, before anything is written.
local function begin_part(tag, entries)
  local seen, undecided, scores = tag .. 'seen', tag .. 'undecided', {}
  for i, at in ipairs(entries) do
    scores[2 * i - 1] = argv[at + 1]
    scores[2 * i] = argv[at]
  end
  local wrong = note(tag .. 'online', pcall('ZCARD', tag .. 'online'))
  if type(wrong) ~= 'table' then wrong = note(undecided, pcall('ZCARD', undecided)) end
  if type(wrong) ~= 'table' then wrong = note(seen, pcall('ZADD', seen, 'GT', unpack(scores))) end
  if type(wrong) == 'table' then return false end
  pcall('PEXPIRE', seen, group.kept)
  local old = pcall('ZRANGEBYSCORE', seen, '-inf', now - group.retention, 'LIMIT', 0, #entries + 100)
  if not old.err and #old > 0 then pcall('ZREM', seen, unpack(old)) end
  return true
end

-- `entries` are where those of one part begin; `first` and `number` where the first of the group does, and which it is.
local function apply_part(tag, entries, first, number)
  local good, start = begin_part(tag, entries), tag .. 'session:'
  group.arrivals, group.undecided = {}, {}
  for _, at in ipairs(entries) do
    local key = start .. argv[at]
    local answer = good and store(tag, key, at)
    if not good then
      fail(number + (at - first) / ENTRY, tag)
    elseif type(answer) == 'table' then
      fail(number + (at - first) / ENTRY, key, answer)
    end
  end
  if #group.arrivals > 0 then
    note(tag .. 'online', pcall('ZADD', tag .. 'online', unpack(group.arrivals)))
  end
  pcall('PEXPIRE', tag .. 'online', group.kept)
  for id, at in pairs(group.undecided) do
    note(tag .. 'undecided', pcall('ZADD', tag .. 'undecided', 'LT', at, id))
    pcall('PEXPIRE', tag .. 'undecided', group.kept)
  end
end

local at, entry = 7, 0
while at <= #argv do
  group = {
    site = argv[at], shards = tonumber(argv[at + 1]), retention = tonumber(argv[at + 2]),
    timeout = tonumber(argv[at + 3]), gap = tonumber(argv[at + 4]),
  }
  group.kept = math.floor(math.max(group.retention * 1.125, group.timeout + 60000))
  local count = tonumber(argv[at + 5])
  local parts, order, first = {}, {}, at + 6
  at = first + count * ENTRY
  for here = first, at - 1, ENTRY do
    local tag = tag_of(group.site, group.shards, argv[here])
    local part = parts[tag]
    if not part then
      part = {}
      parts[tag] = part
      order[#order + 1] = tag
    end
    part[#part + 1] = here
  end
  for _, tag in ipairs(order) do apply_part(tag, parts[tag], first, entry) end
  entry = entry + count
  if group.came then
    note(KEYS[2], pcall('HSET', KEYS[2], format('%d %s', group.shards, group.site), group.retention))
  end
end
-- Where nobody looks after it any more, no user stays "online" for ever; an outage of less than an hour loses nothing.
for tag, timeout in pairs(user_tags) do
  local left = pcall('PTTL', tag .. 'user')
  if type(left) == 'number' and left ~= -2 and left < timeout + 3600000 then pcall('PEXPIRE', tag .. 'user', timeout + 3660000) end
end
table.sort(failed)
if #failed > 0 then pcall('HSET', node, 'failed', table.concat(failed, ',')) end
return {1, table.concat(failed, ','), lost, why}
