-- wrk: the requests of a file, each behind its length and a line end; one of them at random each time.
local ready = {}

function init(args)
  local file = assert(io.open(args[1], 'rb'))
  for size in function() return file:read('*n') end do
    file:read(1)
    ready[#ready + 1] = file:read(size)
  end
  file:close()
  math.randomseed(os.time())
end

function request() return ready[math.random(#ready)] end
