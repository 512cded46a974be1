-- Requests of many callers in turns: lines of "METHOD PATH ACCOUNT KEY BODY" in the file that is named first.
local calls, at, no = {}, 0, 0

function init(args)
  for line in io.lines(args[1]) do
    local method, path, account, key, body = line:match("^(%S+) (%S+) (%S+) (%S+) ?(.*)$")
    calls[#calls + 1] = { method = method, path = path, account = account, key = key, body = body }
  end
  math.randomseed(tonumber(tostring({}):match("0x(%x+)"), 16))
  at = math.random(#calls)
  no = math.random(2 ^ 30)
end

function request()
  at, no = at % #calls + 1, no + 1
  local call = calls[at]
  local headers = { ["authorization"] = "Bearer " .. call.key, ["x-account"] = call.account, ["content-type"] = "application/json" }
  if call.method == "POST" then
    headers["idempotency-key"] = at .. "-" .. no .. "-" .. os.time()
  end
  return wrk.format(call.method, call.path, headers, call.body)
end

function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("measured %f %f %d\n", summary.requests / summary.duration * 1e6, latency:percentile(99) / 1000, failed))
end
