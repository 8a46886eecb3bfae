-- Posts prepared requests, each once and in their order, then from the beginning again.
-- args: the file with the requests: of each its length in ten digits, then itself
local requests, threads = {}, {}
taken = 0 -- global, so that `done` can ask the thread for it

function setup(thread) table.insert(threads, thread) end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  while true do
    local length = file:read(10)
    if not length then break end
    requests[#requests + 1] = file:read(tonumber(length))
  end
  file:close()
end

function request()
  taken = taken + 1
  return requests[(taken - 1) % #requests + 1]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.stderr:write(string.format(
    '{"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"refused":%d,"failed":%d,"taken":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout, threads[1]:get("taken")))
end
