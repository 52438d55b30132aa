-- Merges a window of the records of one server that belong to one part of a site, in the order of their arrival and
-- each exactly once: a window whose answer was lost is sent again, and what it holds is known by its position.
-- KEYS: up to which position this part has the records of each server.
-- ARGV: prefix, site, shards, the start of the part's keys, retention, timeout, the server, the position where the window
--       ends; then of each record: the position of its end, when it came, its kind (script: delivered; batch), view,
--       session ('': none), family, the transport to be tried first ('' unless script), number, event, transport, flags
--       (f: the last one, z: gzip, c: goes on in the next), content type, payload.
-- Answers: 1, how many records were new, how many batches were here already, the first error.
local FIRST, WORDS, NEVER = 9, 13, 2 ^ 53
local argv, format, floor, find = ARGV, string.format, math.floor, string.find
local tag, retention, timeout, server = argv[4], tonumber(argv[5]), tonumber(argv[6]), argv[7]
prefix = argv[1]
local kept = format('%d', floor(math.max(retention * 1.125, timeout + 60000)))
local before = whole(call('HGET', KEYS[1], server)) or 0
if before >= tonumber(argv[8]) then return {1, 0, 0, ''} end
-- From here on the window counts as merged, so nothing may raise an error: what fails is told and left out. This write
-- fails, and with it all, where Redis has no memory left or may not write.
call('HSET', KEYS[1], server, argv[8])
pcall('PEXPIRE', KEYS[1], kept)

local applied, duplicates = 0, 0
local views, order = {}, {} -- each view of the window is read once and written once
local stream, streamed = tag .. 'beacons', false

-- `broken`: something else has its name, so that nothing is known of it and nothing can be written. Both tables are made
-- with all their fields at once: to let them grow takes ten times as long.
local function read_view(name)
  local key = tag .. 'view:' .. name
  local known = note(key, pcall('HMGET', key, 'script', 'load', 'leave', 'session', 'family', 'choice', 'transport',
    'batches', 'bytes', 'last', 'final', 'duplicates', 'parts', 'first', 'seen', 'state', 'counted'))
  local broken = known.err ~= nil
  if broken then known = {} end
  return {
    name = name, key = key, batch = tag .. 'batch:' .. name, broken = broken, script = known[1], load = whole(known[2]),
    leave = whole(known[3]), session = known[4], family = known[5], choice = known[6], transport = known[7],
    batches = whole(known[8]) or 0, bytes = whole(known[9]) or 0, last = whole(known[10]) or -1,
    final = whole(known[11]) or -1, duplicates = whole(known[12]) or 0, parts = whole(known[13]) or 0,
    first = whole(known[14]) or NEVER, seen = whole(known[15]) or 0, state = known[16], counted = read_counted(known[17]),
    changed = {
      script = false, load = false, leave = false, session = false, family = false, choice = false, transport = false,
      batches = false, bytes = false, last = false, final = false, duplicates = false, parts = false, first = false,
      seen = false, state = false, counted = false,
    },
  }
end

local function set(view, field, value)
  view[field] = value
  view.changed[field] = value
end

local function view_of(name)
  local view = views[name]
  if not view then
    view = read_view(name)
    views[name] = view
    order[#order + 1] = view
  end
  return view
end

-- What every record says of its view.
local function meet(view, record)
  local at, session = record.at, record.session
  if at < view.first then set(view, 'first', at) end
  if at > view.seen then set(view, 'seen', at) end
  if session ~= '' and session ~= view.session then set(view, 'session', session) end
  if not view.family then set(view, 'family', record.family ~= '' and record.family or 'other') end
  if not view.state then set(view, 'state', 'open') end
  if view.parts == 0 then set(view, 'parts', 1) end
end

-- What was delivered may be told after what was loaded, by another server.
local function deliver(view, record)
  if view.script then return end
  applied = applied + 1
  set(view, 'script', record.at)
  local choice = record.choice ~= '' and record.choice or nil
  count(tag, record.day, 'script', choice or UNKNOWN, view.family, 1)
  if not choice then return end
  set(view, 'choice', choice)
  for _, event in ipairs({'load', 'leave'}) do
    local at = view[event]
    if at then count_chosen(tag, floor(at / DAY), event, choice, view.family, 1) end
  end
end

local FLAGS = {{'f', 'final', '1'}, {'z', 'encoding', 'gzip'}, {'c', 'continues', '1'}}
-- The stream forgets what is older than the retention; it is looked at once for each call.
local function tell_batch(record, session)
  local words = {'*', 'view', record.view, 'n', record.number, 'event', record.event, 'transport', record.transport, 'at',
    format('%d', record.at), 'payload', record.payload}
  local size = 13
  if session then
    words[14], words[15] = 'session', session
    size = 15
  end
  local flags = record.flags
  if flags ~= '' then
    for _, flag in ipairs(FLAGS) do
      if find(flags, flag[1], 1, true) then
        words[size + 1], words[size + 2] = flag[2], flag[3]
        size = size + 2
      end
    end
  end
  if record.type ~= '' then words[size + 1], words[size + 2] = 'type', record.type end
  if streamed then
    note(stream, pcall('XADD', stream, unpack(words)))
  else
    streamed = true
    note(stream, pcall('XADD', stream, 'MINID', '~', format('%d', math.max(0, now - retention)), unpack(words)))
  end
end

local function first_time(view, record, event)
  count(tag, record.day, event, record.transport, view.family, 1)
  count_chosen(tag, record.day, event, view.choice, view.family, 1)
end

-- What was counted of a view that was given up, before this came.
local function take_back(view, number, left)
  local counted = view.counted
  if left and counted.leave ~= '-' then
    count_gone(tag, counted, -1)
    counted.leave = '-'
  elseif number and counted.missing > 0 and number < view.last then
    count_missing(tag, counted, -1)
    counted.missing = counted.missing - 1
  else
    return
  end
  set(view, 'counted', counted)
end

-- What a batch says of the page counts, too, where it was here already: it may have been sent again because the page was
-- left before it knew that the first had arrived.
local function mark(view, record)
  local event, at = record.event, record.at
  if event == 'load' and not view.load then
    set(view, 'load', at)
    first_time(view, record, 'load')
  elseif event == 'hidden' or event == 'leave' then
    local left = view.leave
    if not left then first_time(view, record, 'leave') end
    if not left and view.counted then take_back(view, nil, true) end
    if not left or at > left then set(view, 'leave', at) end
  end
  if find(record.flags, 'f', 1, true) and record.n > view.final then set(view, 'final', record.n) end
end

local function add_batch(view, record)
  if view.counted then take_back(view, record.n, false) end
  set(view, 'batches', view.batches + 1)
  set(view, 'bytes', view.bytes + #record.payload)
  if record.n > view.last then set(view, 'last', record.n) end
  if view.transport ~= record.transport then set(view, 'transport', record.transport) end
  if record.event == 'resume' then set(view, 'parts', view.parts + 1) end
end

-- Complete: the last batch and all before it are there. A later one opens the view again.
local function judge(view, record, new)
  local complete = view.final >= 0 and view.final == view.last and view.batches == view.last + 1
  if complete and (new or view.state ~= 'complete') then
    if view.session then
      tell(tag, retention, 'event', 'view-complete', 'view', view.name, 'session', view.session, 'batches',
        format('%d', view.batches), 'at', format('%d', record.at))
    else
      tell(tag, retention, 'event', 'view-complete', 'view', view.name, 'batches', format('%d', view.batches), 'at',
        format('%d', record.at))
    end
  end
  local state = complete and 'complete' or new and 'open' or view.state
  if state ~= view.state then set(view, 'state', state) end
end

-- Where the batches of a view cannot be kept, or nothing can be known of it, consumers of the stream get the batch all
-- the same: rather twice than never.
local function merge_batch(view, record)
  local answer = note(view.batch, pcall('HSETNX', view.batch, record.number, record.payload))
  if answer == 0 then
    duplicates = duplicates + 1
    if view.broken then return end
    set(view, 'duplicates', view.duplicates + 1)
    count(tag, record.day, 'duplicate', record.transport, view.family, 1)
  else
    applied = applied + 1
    tell_batch(record, record.session ~= '' and record.session or view.session)
    if view.broken then return end
    if answer == 1 then add_batch(view, record) end
  end
  mark(view, record)
  judge(view, record, answer == 1)
end

local function merge(i)
  local at, n = whole(argv[i + 1]), whole(argv[i + 7])
  if not at or at >= 2 ^ 48 then at = now end
  local record = {
    at = at, day = floor(at / DAY), view = argv[i + 3], session = argv[i + 4], family = argv[i + 5], choice = argv[i + 6],
    number = argv[i + 7], n = n, event = argv[i + 8], transport = argv[i + 9], flags = argv[i + 10], type = argv[i + 11],
    payload = argv[i + 12],
  }
  local view = view_of(record.view)
  if not view.broken then meet(view, record) end
  if argv[i + 2] == 'batch' then
    if n then merge_batch(view, record) end
  elseif argv[i + 2] == 'script' then
    if not view.broken then deliver(view, record) end
  end
end

local function text_of(value)
  if type(value) == 'number' then return format('%d', value) end
  return type(value) == 'table' and counted_text(value) or value
end

local look, done = {}, {} -- for ZADD and ZREM
local again = format('%d', now + timeout)
local function store_view(view)
  pcall('PEXPIRE', view.batch, kept)
  if view.broken then return end
  local words = {}
  local size = 0
  for field, value in pairs(view.changed) do
    if value then
      words[size + 1], words[size + 2] = field, text_of(value)
      size = size + 2
    end
  end
  if size > 0 then note(view.key, pcall('HSET', view.key, unpack(words))) end
  pcall('PEXPIRE', view.key, kept)
  if view.state == 'open' then
    look[#look + 1] = again
    look[#look + 1] = view.name
  elseif view.state == 'complete' then
    done[#done + 1] = view.name
  end
end

local MOST_WORDS = 4000 -- of one command
local function in_pieces(command, key, words)
  for i = 1, #words, MOST_WORDS do
    note(key, command(key, unpack(words, i, math.min(i + MOST_WORDS - 1, #words))))
  end
end

for i = FIRST, #argv - WORDS + 1, WORDS do
  if (whole(argv[i]) or 0) > before then merge(i) end
end
for _, view in ipairs(order) do store_view(view) end
in_pieces(function(key, ...) return pcall('ZREM', key, ...) end, tag .. 'views', done)
in_pieces(function(key, ...) return pcall('ZADD', key, ...) end, tag .. 'views', look)
pcall('PEXPIRE', tag .. 'views', kept)
if streamed then pcall('PEXPIRE', stream, kept) end
write_counts(kept)
return {1, applied, duplicates, why}
