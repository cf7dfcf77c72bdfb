-- wrk: POST the body in $BODY; prints one line of JSON at the end
local file = io.open(os.getenv("BODY"), "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
file:close()
wrk.headers["Content-Type"] = "application/json"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{"rps":%.1f,"requests":%d,"p50_ms":%.3f,"p99_ms":%.3f,"bad":%d,"broken":%d}\n',
    summary.requests * 1e6 / summary.duration, summary.requests,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    e.status, e.connect + e.read + e.write + e.timeout))
end
