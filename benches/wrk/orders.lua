-- Orders of one or two random articles out of 1,000 (sku-0000 … sku-0999), which are in catalog.toml beside this file:
-- `cluster serve --set shop.catalog=benches/wrk/catalog.toml --data-dir wrk-data`
-- `wrk -t2 -c64 -d10s -s benches/wrk/orders.lua http://127.0.0.1:8080`
-- Counts statuses per thread; ends with one line for programs: FIGURES key=value …

local threads = {}

function setup(thread)
  table.insert(threads, thread)
  thread:set("number", #threads)
end

function init(args)
  math.randomseed(os.time() * 1000 + number)
  created, pending, refused, failed = 0, 0, 0, 0
end

local function item()
  return string.format('{"sku":"sku-%04d","quantity":%d}', math.random(0, 999), math.random(1, 3))
end

function request()
  local items = item()
  if math.random(4) == 1 then
    -- A second article, never the same one twice.
    local first = math.random(0, 998)
    items = string.format(
      '{"sku":"sku-%04d","quantity":1},{"sku":"sku-%04d","quantity":%d}', first, first + 1, math.random(1, 3))
  end
  local body = string.format(
    '{"customer_id":"c-%d","items":[%s],"payment":{"method":"pm_card_visa"}}', math.random(1, 10000), items)
  return wrk.format("POST", "/orders", { ["Content-Type"] = "application/json" }, body)
end

function response(status)
  if status == 201 then
    created = created + 1
  elseif status == 202 then
    pending = pending + 1
  elseif status == 402 or status == 409 then
    refused = refused + 1
  else
    failed = failed + 1
  end
end

function done(summary, latency, requests)
  local sums = { created = 0, pending = 0, refused = 0, failed = 0 }
  for _, thread in ipairs(threads) do
    for name in pairs(sums) do
      sums[name] = sums[name] + thread:get(name)
    end
  end
  local errors = summary.errors
  io.write(string.format(
    "FIGURES requests=%d us=%d created=%d pending=%d refused=%d failed=%d socket_errors=%d p50_us=%d p99_us=%d max_us=%d\n",
    summary.requests, summary.duration, sums.created, sums.pending, sums.refused, sums.failed,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end
