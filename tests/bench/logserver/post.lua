-- SPDX-License-Identifier: GPL-2.0
-- wrk: every request stores one new record. Ids: <run>:<thread>:<count>.
local run, next_thread = os.getenv("RUN") or "run", 0

function setup(thread)
	thread:set("id", next_thread)
	next_thread = next_thread + 1
end

function init()
	count = 0
	stored, refused = 0, 0
end

function request()
	count = count + 1
	return wrk.format("POST", "/logs", { ["Content-Type"] = "application/json" }, string.format(
		'[{"pid":4242,"container_id":"%012x","name":"heavy","vsz":10240,"rss":2048,' ..
		'"memory_usage":1.5,"cpu_usage":98.75,"action":"killed",' ..
		'"timestamp":"2026-11-23T06:40:01.123Z","event_id":"%s:%d:%d","host":"bench-%d",' ..
		'"image":"warden/heavy","class":"high","reason":"more than 2 high"}]',
		count, run, id, count, id))
end

function response(status, headers, body)
	if status == 200 then stored = stored + 1 else refused = refused + 1 end
end

function done(summary, latency, requests)
	local errors = summary.errors
	io.write(string.format('{"requests": %d, "refused": %d, "seconds": %.3f, "p50_ms": %.3f, "p99_ms": %.3f}\n',
		summary.requests, errors.status + errors.connect + errors.read + errors.write + errors.timeout,
		summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
