-- wrk: HEAD pings with a session id in a cookie. Arguments: which ids ("of N" at random, "made N" the same but
-- each request made when it is sent, "new" every time), how many requests are sent at once, the first number of "new".
local kind, count, at_once, number
local ready = {}  -- made beforehand where they are few

local function one(n)
  return ('HEAD /p HTTP/1.1\r\nHost: bench.test\r\nCookie: hb=%026x\r\n\r\n'):format(n * 2654435761 % 4294967296)
end

function init(args)
  kind, count, at_once, number = args[1], tonumber(args[2]), tonumber(args[3] or 1), tonumber(args[4] or 0)
  math.randomseed(os.time())
  if kind == 'of' and count <= 10000 then
    for n = 1, count do ready[n] = one(n) end
  end
end

function request()
  if kind ~= 'new' and at_once == 1 then
    local n = math.random(count)
    return ready[n] or one(n)
  end
  local all = {}
  for i = 1, at_once do
    number = number + 1
    all[i] = one(kind == 'of' and number % count + 1 or number)
  end
  return table.concat(all)
end
