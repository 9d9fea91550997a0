-- Plain GETs. `wrk -t2 -c64 -d10s -s benches/wrk/get.lua http://127.0.0.1:8080/healthz/liveness`
-- Ends with one line for programs: FIGURES key=value …

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    "FIGURES requests=%d us=%d bad_status=%d socket_errors=%d p50_us=%d p99_us=%d max_us=%d\n",
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end
