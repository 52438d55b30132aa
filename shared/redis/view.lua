-- One page view as it is merged so far. Changes nothing.
-- KEYS: the view. ARGV: the start of its part's keys, its name, how many bytes of payload to tell at most.
-- Answers: how many words of fields follow; each field that there is and its value; then each batch in the order of the
-- numbers: number, payload (nil: it is beyond the most). {0} where there is no such view.
local call = redis.call
local FIELDS = {'session', 'family', 'choice', 'state', 'script', 'load', 'leave', 'first', 'seen', 'parts', 'transport',
  'duplicates', 'bytes', 'batches', 'last', 'final'}
local MOST_BATCHES = 1000 -- of one view
local known = call('HMGET', KEYS[1], unpack(FIELDS))
local answer, room = {0}, tonumber(ARGV[3])
for i, field in ipairs(FIELDS) do
  if known[i] then
    answer[#answer + 1] = field
    answer[#answer + 1] = known[i]
  end
end
answer[1] = #answer - 1
if answer[1] == 0 then return answer end

local key, numbers = ARGV[1] .. 'batch:' .. ARGV[2], {}
for _, name in ipairs(call('HKEYS', key)) do
  if string.find(name, '^%d+$') then numbers[#numbers + 1] = name end
end
table.sort(numbers, function(a, b) return tonumber(a) < tonumber(b) end)
for i = 1, math.min(#numbers, MOST_BATCHES) do
  room = room - call('HSTRLEN', key, numbers[i])
  answer[#answer + 1] = numbers[i]
  answer[#answer + 1] = room >= 0 and call('HGET', key, numbers[i])
end
return answer
