-- What the scripts of page views share, behind presence.lua: the counters of what was delivered, loaded, left and lost.
-- They are gathered and written once for each call, so that a record costs no command for them.

-- A number as it may stand in a key, nil where it is none that can be reckoned with.
local function whole(text)
  local value = tonumber(text or nil)
  if value and value >= 0 and value < 2 ^ 53 then return math.floor(value) end
end

-- What is written for people and for the choice of transports; UNKNOWN: no record told.
local UNKNOWN = 'unknown'

local counts = {} -- key -> field -> how much more
local function fields_of(tag, day)
  local key = tag .. 'delivery:' .. date_of(day)
  local fields = counts[key] or {}
  counts[key] = fields
  return fields
end

local function count(tag, day, event, transport, family, much)
  local fields = fields_of(tag, day)
  local with_transport = event .. ':' .. transport
  local with_family = with_transport .. ':' .. family
  fields[event] = (fields[event] or 0) + much
  fields[with_transport] = (fields[with_transport] or 0) + much
  fields[with_family] = (fields[with_family] or 0) + much
end

-- By the transport that the view was told to try first, whichever it took: nothing where that is not known.
local function count_chosen(tag, day, event, choice, family, much)
  if not choice then return end
  local fields, field = fields_of(tag, day), 'chosen-' .. event .. ':' .. choice .. ':' .. family
  fields[field] = (fields[field] or 0) + much
end

local function write_counts(kept)
  for key, fields in pairs(counts) do
    for field, much in pairs(fields) do
      if much ~= 0 then note(key, pcall('HINCRBY', key, field, string.format('%d', much))) end
    end
    pcall('PEXPIRE', key, kept)
  end
end

-- What was counted when a view was given up, in one field, so that it can be taken back when it comes late: the day, what
-- became of its leave (lost, elsewhere; - for neither), how many batches were missing, its choice and family then.
local function read_counted(text)
  local day, leave, missing, choice, family = string.match(text or '', '^(%d+) (%S+) (%d+) (%S+) (%S+)$')
  if day then return {day = whole(day) or 0, leave = leave, missing = whole(missing) or 0, choice = choice, family = family} end
end
local function counted_text(counted)
  return string.format('%d %s %d %s %s', counted.day, counted.leave, counted.missing, counted.choice, counted.family)
end
local function known_choice(counted) return counted.choice ~= UNKNOWN and counted.choice or nil end

-- `leave` is lost or elsewhere.
local function count_gone(tag, counted, much)
  count(tag, counted.day, counted.leave, counted.choice, counted.family, much)
  if counted.leave == 'lost' then
    count_chosen(tag, counted.day, 'lost', known_choice(counted), counted.family, much)
  end
end
local function count_missing(tag, counted, much)
  count(tag, counted.day, 'missing', counted.choice, counted.family, much)
end
