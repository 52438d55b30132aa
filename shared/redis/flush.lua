-- Applies one numbered batch of signs of life, exactly once.
-- KEYS: the node's own hash, the hash of sites.
-- ARGV: batch number, number of the last batch that was acknowledged, version, how long the node's hash is kept, prefix, 1
--       unless hosts may still be sending what they kept while Redis was away;
--       then for each group of sessions: site, shards, retention, timeout, gap, number of entries, the numbers of all of
--       them, packed as in NUMBERS one after the other, how many of them tell who it is; then for each entry: end of a run
--       of signs, id; then of those that tell: user, page (empty: not told). Entries of one session come in the order of time.
-- Answers: 1 applied or 0 applied before; the entries that failed; 1 if Redis lost earlier batches; the first error.
-- The end of a run of signs, how long the session stays after it, length of the run, how long before its end the first
-- sign was that was in no batch before, how long before it the last activity was (NEVER: none that is new), length of
-- that run, new beats, kind: which of SOURCES, and bits above; the how manieth it is of those that tell (0: does not).
local NUMBERS, NUMBERS_BYTES, NEVER = '>I6I4I4I4I4I4I4I1I2', 33, 4294967295
local SOURCES = {
  [SOURCE] = 'ping', [2 * SOURCE] = 'page', [3 * SOURCE] = 'request', [4 * SOURCE] = 'beat', [5 * SOURCE] = 'beacon',
}
local KEEP, LEFT, USER = 8, 16, 32 -- must be kept for longer; the visitor said goodbye; a user is known to the host
local JITTER = 100 -- by so much may the time of one sign differ from one measurement of the clock to the next
-- What is done for every session makes no tables and closures, as few texts as can be, and gives Redis texts: the numbers
-- of a script it writes with 17 digits, which takes as long as half a command.
local argv, format, pack, unpack_struct, floor = ARGV, string.format, struct.pack, struct.unpack, math.floor
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

local group -- the settings of the sessions at hand

-- --- runs: stretches of time whose neighbours are more than a gap apart ---

-- The sorted sets of days, and what they are to say at the end of the batch: one command for all users is far cheaper
-- than one for each.
local day_sets, all_days = {}, {}
local function day_set(tag, kind, day)
  local of_part = day_sets[tag] or {open = {}, active = {}}
  day_sets[tag] = of_part
  local set = of_part[kind][day]
  if not set then
    set = {key = tag .. kind .. ':' .. date_of(day), words = {}, kept = 0}
    of_part[kind][day] = set
    all_days[#all_days + 1] = set
  end
  if set.kept < group.kept then set.kept = group.kept end
  return set
end

local function write_day(set)
  if #set.words == 0 then return end
  local new = note(set.key, pcall('ZADD', set.key, unpack(set.words)))
  if type(new) == 'number' and new > 0 then pcall('PEXPIRE', set.key, set.kept) end
  set.words = {}
end

local MOST_WORDS = 4000 -- of one command
local function put_total(set, user, total)
  local words = set.words
  local size = #words
  words[size + 1], words[size + 2] = format('%d', total), user
  if size >= MOST_WORDS then write_day(set) end
end

local MOST_TOTAL = 2 ^ 31
-- Of his latest day a user's own hash has the totals, so that they can be written without a look at the sorted sets.
-- NEVER: it is not known yet what these say.
local function add_to_day(whose, kind, day, length)
  local set, user = day_set(whose.tag, kind, day), whose.user
  if day > (whose.day or -1) then whose.day, whose.open, whose.active = day, NEVER, NEVER end
  if day < whose.day then
    write_day(set)
    length = format('%d', length)
    if note(set.key, pcall('ZINCRBY', set.key, length, user)) == length then pcall('PEXPIRE', set.key, set.kept) end
    return
  end
  if whose[kind] == NEVER then
    local score = note(set.key, pcall('ZSCORE', set.key, user))
    if type(score) == 'table' then return end
    whose[kind] = floor(math.min(math.max(tonumber(score or nil) or 0, 0), MOST_TOTAL))
  end
  whose[kind] = math.min(whose[kind] + length, MOST_TOTAL)
  put_total(set, user, whose[kind])
end

local MOST_DAYS = 400
-- Adds a stretch to the days of a user. One of years is none: somebody else wrote there, and it would take for ever.
local function add_days(whose, kind, from, to)
  if to - from > MOST_DAYS * DAY then return end
  while from < to do
    local day = floor(from / DAY)
    local stop = math.min(to, (day + 1) * DAY)
    add_to_day(whose, kind, day, stop - from)
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

local user_tags = {}

-- What a user was here for: the runs of all sessions together, the latest of each kind packed like a session's state,
-- then the latest day, and time open and active on it.
local USER_STATE, USER_BYTES = '>I6I6I6I6I4I4I4', 36

-- The general case. Answers the new state.
local function user_state_of_any(key, tag, user, open_first, open_last, first, last, day, open, active, from, to,
    active_from, active_to)
  local whose = {tag = tag, user = user, day = day, open = open, active = active}
  open_first, open_last = add_run(key, 'open', open_first, open_last, from, to, group.timeout,
    function(start, stop) add_days(whose, 'open', start, stop) end)
  if active_to then
    first, last = add_run(key, 'active', first, last ~= 0 and last or nil, active_from, active_to, group.gap,
      function(start, stop) add_days(whose, 'active', start, stop) end)
  end
  return pack(USER_STATE, open_first, open_last, first or 0, last or 0, whose.day or 0, whose.open or NEVER,
    whose.active or NEVER)
end

-- Whether [from, to] goes on with a run of which the total of the day is known, within that day.
local function goes_on(first, last, from, to, gap, day, total)
  return from >= first and from <= last + gap and last >= day * DAY and to < (day + 1) * DAY and total ~= NEVER
end

local function add_user_time(user, from, to, active_from, active_to, keep)
  local tag = tag_of(group.site, group.shards, user)
  if (user_tags[tag] or 0) < group.timeout then user_tags[tag] = group.timeout end
  local key = tag .. 'user:' .. user
  local known = note(key, pcall('HGET', key, 'state'))
  if type(known) == 'table' then return end
  local open_first, open_last, first, last, day, open, active
  if known and #known == USER_BYTES then
    open_first, open_last, first, last, day, open, active = unpack_struct(USER_STATE, known)
  end
  local state
  if day and goes_on(open_first, open_last, from, to, group.timeout, day, open) and
     (not active_to or last ~= 0 and goes_on(first, last, active_from, active_to, group.gap, day, active)) then
    local more, more_active = to > open_last, active_to and active_to > last
    if more then
      open, open_last = open + to - open_last, to
      put_total(day_set(tag, 'open', day), user, open)
    end
    if more_active then
      active, last = active + active_to - last, active_to
      put_total(day_set(tag, 'active', day), user, active)
    end
    if more or more_active then state = pack(USER_STATE, open_first, open_last, first, last, day, open, active) end
  else
    state = user_state_of_any(key, tag, user, open_first, open_last, first, last, day, open, active, from, to,
      active_from, active_to)
  end
  if state then note(key, pcall('HSET', key, 'state', state)) end
  if not known or keep then pcall('PEXPIRE', key, group.kept) end
end

-- The same of an entry that does not say the name: of its run, what came before the session was this user's is not his.
local function add_time_since(named, user, from, to, active_from, active_to, keep)
  from = math.max(from, named)
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
local function name_since(key, user, from, open_from, last, active_from, last_active)
  local known = pcall('HMGET', key, 'open_earlier', 'active_earlier')
  local function each_since(text, first, stop, add)
    local _, runs = read_runs(text)
    runs[#runs + 1] = {first, stop}
    for _, run in ipairs(runs) do
      if run[2] >= from then add(math.max(run[1], from), run[2]) end
    end
  end
  each_since(known[1], open_from, last, function(first, stop) add_user_time(user, first, stop) end)
  if last_active == 0 then return end
  each_since(known[2], active_from, last_active, function(first, stop)
    add_user_time(user, first, stop, first, stop)
  end)
end

local function has(flags, flag) return flags % (2 * flag) >= flag end

-- The general case. Answers what HSET says.
local function store_any(tag, key, e, flags, last, open_from, last_active, active_from, due, open, active, beats, named)
  local user_before, pending, words = false, nil, {}
  local function set(field, value)
    words[#words + 1] = field
    words[#words + 1] = value
  end
  if not flags then
    flags, open, active, beats, named = 0, 0, 0, 0, 0
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
  if not user or user ~= user_before then named = 0 end
  local since = user and user == e.user and (named == 0 or e.from < named)
  if since then named = e.from end
  local answer = pcall('HSET', key, 'state', pack(STATE, flags, last, open_from, last_active or 0, active_from or 0,
    due or 0, open, active, beats, named), 'last', last, 'open_ms', open, 'beats', beats, unpack(words))
  if e.keep or #words > 0 and words[1] == 'first' then pcall('PEXPIRE', key, group.kept) end
  if e.user ~= '' then -- one that another name has followed has the time that is told late all the same
    add_user_time(e.user, e.from, e.to, e.active_from, e.active_to, e.keep)
  elseif user then
    add_time_since(named, user, e.from, e.to, e.active_from, e.active_to, e.keep)
  end
  if since then name_since(key, user, named, open_from, last, active_from or 0, last_active or 0) end
  return answer
end

local function read_entry(index)
  local to, stays, open, fresh, active_back, active, beats, kind, told =
    unpack_struct(NUMBERS, group.numbers, 1 + index * NUMBERS_BYTES)
  local active_to, active_from, user, page
  if active_back ~= NEVER then
    active_to = to - active_back
    active_from = active_to - active
  end
  if told > 0 then user, page = argv[group.told + 2 * told], argv[group.told + 2 * told + 1] end
  return {
    id = argv[group.first + 2 * index + 1], to = to, stays = stays, from = to - open, fresh = to - fresh, active_to = active_to,
    active_from = active_from, beats = beats, source = SOURCE * (1 + kind % KEEP), user = user or '', page = page or '',
    keep = kind % LEFT >= KEEP, left = kind % USER >= LEFT,
  }
end

local count_texts = {} -- how many beats: many sessions of a batch have the same number
local function count_text(count)
  local text = count_texts[count] or format('%d', count)
  count_texts[count] = text
  return text
end

-- Stores an entry of the group. Mostly a session is online and goes on: that takes two commands. Answers an error, or
-- something else.
local function store(tag, key, index)
  local to, stays, back, fresh, active_back, length, new_beats, kind, told =
    unpack_struct(NUMBERS, group.numbers, 1 + index * NUMBERS_BYTES)
  local known, user
  if kind >= USER then
    kind = kind - USER
    known = pcall('HMGET', key, 'state', 'user')
    if known.err then return known end
    known, user = known[1], known[2]
  else
    known = pcall('HGET', key, 'state')
    if type(known) == 'table' then return known end
  end
  local flags, last, open_from, last_active, active_from, due, open, active, beats, named = read_state(known)
  local from, active_to, start = to - back, nil, nil
  if active_back ~= NEVER then
    active_to = to - active_back
    start = active_to - length
  end
  if not flags or flags % NAMED ~= ONLINE or kind >= KEEP or told > 0 or to <= last or to - fresh >= due or
     to + stays < due or from > last + group.timeout or from < open_from or active_to and (last_active == 0 or
     active_to < last_active or start < active_from or start > last_active + group.gap) then
    return store_any(tag, key, read_entry(index), flags, last, open_from, last_active, active_from, due, open, active,
      beats, named)
  end
  local is_named, source = flags % SOURCE >= NAMED, SOURCE * (1 + kind)
  if flags - flags % SOURCE ~= source then
    flags = source + flags % SOURCE
    pcall('HSET', key, 'source', SOURCES[source])
  end
  open, beats = open + to - last, (beats + new_beats) % 4294967296
  local text, open_text, answer = argv[group.first + 2 * index], format('%d', open), nil
  if not active_to then
    answer = pcall('HSET', key, 'state', pack(STATE, flags, to, open_from, last_active, active_from, to + stays, open,
      active, beats, named), 'last', text, 'open_ms', open_text, 'beats', count_text(beats))
  else
    active = active + active_to - last_active
    answer = pcall('HSET', key, 'state', pack(STATE, flags, to, open_from, active_to, active_from, to + stays, open,
      active, beats, named), 'last', text, 'open_ms', open_text, 'beats', count_text(beats), 'last_active',
      active_to == to and text or format('%d', active_to), 'active_ms', active == open and open_text or format('%d', active))
  end
  if is_named then
    user = user or pcall('HGET', key, 'user')
    if user then add_time_since(named, user, from, to, start, active_to) end
  end
  return answer
end

-- The end of the run and the id of each entry, for ZADD.
local function scores(entries)
  if #entries == group.count then return unpack(argv, group.first, group.first + 2 * group.count - 1) end
  local words = {}
  for i, index in ipairs(entries) do
    words[2 * i - 1] = argv[group.first + 2 * index]
    words[2 * i] = argv[group.first + 2 * index + 1]
  end
  return unpack(words)
end

-- The sorted sets of one part of a site. What stands in their place spoils the entries, before anything is written.
local function begin_part(tag, entries)
  local seen, undecided = tag .. 'seen', tag .. 'undecided'
  local wrong = note(tag .. 'online', pcall('ZCARD', tag .. 'online'))
  if type(wrong) ~= 'table' then wrong = note(undecided, pcall('ZCARD', undecided)) end
  if type(wrong) ~= 'table' then wrong = note(seen, pcall('ZADD', seen, 'GT', scores(entries))) end
  if type(wrong) == 'table' then return false end
  pcall('PEXPIRE', seen, group.kept)
  local old = pcall('ZRANGEBYSCORE', seen, '-inf', now - group.retention, 'LIMIT', 0, #entries + 100)
  if not old.err and #old > 0 then pcall('ZREM', seen, unpack(old)) end
  return true
end

-- `entries` are which of the group are of one part; `number` is that of the first of the group in the batch.
local function apply_part(tag, entries, number)
  local good, start, ids = begin_part(tag, entries), tag .. 'session:', group.first + 1
  group.arrivals, group.undecided = {}, {}
  for _, index in ipairs(entries) do
    local key = start .. argv[ids + 2 * index]
    local answer = good and store(tag, key, index)
    if not good then
      fail(number + index, tag)
    elseif type(answer) == 'table' then
      fail(number + index, key, answer)
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

-- The entries of each part of the site, and the parts in the order in which they come first.
local function parts_of_group()
  local parts, order = {}, {}
  local only = group.shards == 1 and tag_of(group.site, 1)
  for index = 0, group.count - 1 do
    local tag = only or tag_of(group.site, group.shards, argv[group.first + 2 * index + 1])
    local part = parts[tag]
    if not part then
      part = {}
      parts[tag] = part
      order[#order + 1] = tag
    end
    part[#part + 1] = index
  end
  return parts, order
end

local at, entry = 7, 0
while at <= #argv do
  local count = tonumber(argv[at + 5])
  local first = at + 8
  group = {
    site = argv[at], shards = tonumber(argv[at + 1]), retention = tonumber(argv[at + 2]),
    timeout = tonumber(argv[at + 3]), gap = tonumber(argv[at + 4]), count = count, numbers = argv[at + 6], first = first,
    told = first + 2 * count - 2,
  }
  group.kept = floor(math.max(group.retention * 1.125, group.timeout + 60000))
  at = first + 2 * count + 2 * tonumber(argv[at + 7])
  local parts, order = parts_of_group()
  for _, tag in ipairs(order) do apply_part(tag, parts[tag], entry) end
  entry = entry + count
  if group.came then
    note(KEYS[2], pcall('HSET', KEYS[2], format('%d %s', group.shards, group.site), group.retention))
  end
end
for _, set in ipairs(all_days) do write_day(set) end
-- Where nobody looks after it any more, no user stays "online" for ever; an outage of less than an hour loses nothing.
for tag, timeout in pairs(user_tags) do
  local left = pcall('PTTL', tag .. 'user')
  if type(left) == 'number' and left ~= -2 and left < timeout + 3600000 then pcall('PEXPIRE', tag .. 'user', timeout + 3660000) end
end
table.sort(failed)
if #failed > 0 then pcall('HSET', node, 'failed', table.concat(failed, ',')) end
return {1, table.concat(failed, ','), lost, why}
