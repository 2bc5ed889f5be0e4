#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The log server's figures, as Markdown on stdout: beside a FastAPI server that does what
the reference does, and beside what the disk can do.
Usage: bench.py LOGSERVER. BENCH_DATA: where the files go (a new directory in /tmp);
BENCH_SIZES: records stored ("10000 1000000 10000000"); BENCH_SECONDS: of each load (5);
BENCH_RIVAL: the rival's most records (1000000), as more take it minutes each."""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
SIZES = [int(size) for size in os.environ.get("BENCH_SIZES", "10000 1000000 10000000").split()]
CLIENTS = (1, 16, 256)
RIVAL_MOST = int(os.environ.get("BENCH_RIVAL", "1000000"))
FILE_BYTES = 64 << 20
BATCH = 1000


def say(text=""):
    print(text, flush=True)


def note(text):
    print(f"# {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def record(number):
    return ('{"pid":4242,"container_id":"%012x","name":"heavy","vsz":10240,"rss":2048,'
            '"memory_usage":1.5,"cpu_usage":98.75,"action":"killed",'
            '"timestamp":"2026-%02d-%02dT%02d:%02d:%02d.123Z","event_id":"fill:%d","host":"h-%d",'
            '"image":"warden/image-%d","class":"high","reason":"more than 2 high"}' % (
                number, number // 2678400 % 12 + 1, number // 86400 % 28 + 1, number // 3600 % 24,
                number // 60 % 60, number % 60, number, number // 1000 % 100, number % 4))


class Server:
    """Ours or the rival, started: how long until it answers, and until it is ready."""

    def __init__(self, command, port, ready, env=None):
        self.port = port
        started = time.monotonic()
        self.process = subprocess.Popen(command, env={**os.environ, **(env or {})},
                                        stdout=subprocess.DEVNULL)
        self.await_ok("/healthz")
        self.start_s = time.monotonic() - started
        self.await_ok(ready)
        self.ready_s = time.monotonic() - started

    def await_ok(self, path):
        """Asked again and again: this waits for another process to listen."""
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
            try:
                connection.request("GET", path)
                if connection.getresponse().status == 200:
                    return
                time.sleep(0.05)
            except OSError:
                if self.process.poll() is not None:
                    sys.exit("did not start")
                time.sleep(0.002)
            finally:
                connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.terminate()
        self.process.wait()

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.request(method, path, body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        text = reply.read()
        connection.close()
        if reply.status != 200:
            sys.exit(f"{path}: {reply.status} {text[:200]}")
        return text

    def get(self, path):
        return self.request("GET", path)

    def load(self, clients, run):
        text = subprocess.run(
            ["wrk", "-t1", f"-c{clients}", f"-d{SECONDS:g}s", "--timeout", "60s", "--latency", "-s",
             os.path.join(HERE, "post.lua"), f"http://127.0.0.1:{self.port}"],
            env={**os.environ, "RUN": run}, check=True, capture_output=True, text=True).stdout
        result = json.loads(text.splitlines()[-1])
        if result["refused"]:
            note(f"{result['refused']} refused of {result['requests']}")
        result["rate"] = (result["requests"] - result["refused"]) / result["seconds"]
        return result

    def rss(self, which="VmRSS"):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(which + r":\s+(\d+)", status.read())[1]) / 1024


def timed(function, *arguments, times=5):
    """The median, in ms."""
    took = []
    for _ in range(times):
        started = time.monotonic()
        function(*arguments)
        took.append((time.monotonic() - started) * 1000)
    return sorted(took)[len(took) // 2]


def ours(logserver, data):
    return Server([logserver, "--port", "18000", "--data", data, "--client-rate", "0"], 18000,
                  "/readyz")


def rival(data, **env):
    return Server(["/usr/bin/python3", "-m", "uvicorn", "--app-dir", HERE, "rival:app", "--port",
                   "18001", "--log-level", "error"], 18001, "/healthz", {"RIVAL_DATA": data, **env})


def fill_rival(data, count):
    with open(os.path.join(data, "logs.json"), "w") as file:
        file.write("[" + ",".join(record(i) for i in range(count)) + "]")


def fill_files(data, count):
    """As the server itself would have left them, but for the compression."""
    start, number = 0, 0
    while number < count:
        lines = []
        length = 0
        while number < count and length < FILE_BYTES:
            lines.append(record(number) + "\n")
            length += len(lines[-1])
            number += 1
        name = "logs.jsonl" if number == count else f"logs.{start:015}-{start + length:015}.jsonl"
        with open(os.path.join(data, name), "w") as file:
            file.writelines(lines)
        start += length


def compressed(data):
    return not any(name.endswith(".jsonl") and name.count(".") == 2 for name in os.listdir(data))


def fill(server, first, count):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
    started = time.monotonic()
    for start in range(first, count, BATCH):
        body = "[" + ",".join(map(record, range(start, min(start + BATCH, count)))) + "]"
        connection.request("POST", "/logs", body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        text = reply.read()
        if reply.status != 200:
            sys.exit(text)
    connection.close()
    return (count - first) / (time.monotonic() - started)


def disk_rate(data):
    """fdatasync after every append of a record's length: nobody is faster, record by record."""
    path = os.path.join(data, "disk")
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    count, started = 0, time.monotonic()
    while time.monotonic() - started < SECONDS:
        os.pwrite(file, b"x" * 330, count * 330)
        os.fdatasync(file)
        count += 1
    os.close(file)
    os.unlink(path)
    return count / SECONDS


def stored_records(logserver, scratch):
    say("## Records a second, one in each request, 1 000 stored before")
    say()
    say("| server | clients | records/s | p50 ms | p99 ms |")
    say("|---|---|---|---|---|")
    data = os.path.join(scratch, "ours")
    os.mkdir(data)
    rates, leads = {}, {}
    with ours(logserver, data) as server:
        fill(server, 0, 1000)
        for clients in CLIENTS:
            before = disk_rate(scratch)
            result = server.load(clients, f"ours{clients}")
            rates[clients] = result["rate"]
            say(f"| ours, durable | {clients} | {result['rate']:.0f} | {result['p50_ms']:.1f} | "
                f"{result['p99_ms']:.1f} |")
            say(f"| the disk: {before:.0f} fdatasync/s, a batch of all clients in each | {clients} | "
                f"{before * clients:.0f} | | |")
        peak = server.rss("VmHWM")
    for what, env in (("durable by fsync", {"RIVAL_SYNC": "1"}), ("not durable", {})):
        for clients in CLIENTS:
            data = os.path.join(scratch, f"rival{clients}{len(env)}")
            os.mkdir(data)
            fill_rival(data, 1000)
            with rival(data, **env) as server:
                result = server.load(clients, f"rival{clients}")
            say(f"| FastAPI, {what} | {clients} | {result['rate']:.0f} | "
                f"{result['p50_ms']:.1f} | {result['p99_ms']:.1f} |")
            leads[what, clients] = rates[clients] / result["rate"]
    say()
    for what in ("durable by fsync", "not durable"):
        say(f"Ours over FastAPI, {what}: " +
            ", ".join(f"{leads[what, c]:.0f}x with {c}" for c in CLIENTS) + ".")
    say(f"Our peak RSS: {peak:.1f} MiB.")
    say()


def without_index(logserver, data, size, row):
    """The lines are there, the index is not; at the end it is killed."""
    with ours(logserver, data) as server:
        row["index lost: listening after, ms"] = f"{server.start_s * 1000:.0f}"
        row["index lost: ready after, s"] = f"{server.ready_s:.1f}"
        row["1 000 in a request, records/s"] = f"{fill(server, size, size + 20000):.0f}"
        while not compressed(data):
            time.sleep(0.1)
        row["peak RSS meanwhile, with compression, MiB"] = f"{server.rss('VmHWM'):.1f}"
        # Killed with the index about as far behind as it gets.
        fill(server, size + 20000, size + 28000)
        server.process.kill()
        server.process.wait()
    with ours(logserver, data) as server:
        row["ready after kill -9, ms"] = f"{server.ready_s * 1000:.0f}"


def read_all(server):
    """MB/s."""
    started = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
    connection.request("GET", "/logs/all?format=ndjson")
    reply, length = connection.getresponse(), 0
    while piece := reply.read(1 << 20):
        length += len(piece)
    connection.close()
    return length / 1e6 / (time.monotonic() - started)


def at_work(logserver, data, size, row):
    with ours(logserver, data) as server:
        row["ready after a usual start, ms"] = f"{server.ready_s * 1000:.0f}"

        def after_new_record(path):
            server.request("POST", "/logs", "[" + record(time.monotonic_ns()) + "]")
            server.get(path)

        for path in ("/graphs/processes.png", "/graphs"):
            row[path + ", a new record each time, ms"] = f"{timed(after_new_record, path):.0f}"
        for name, query in (("container=, 1 record", f"container={size // 2:012x}"),
                            ("limit=100", "limit=100"),
                            ("host=, limit=100", "host=h-7&limit=100"),
                            ("since=, until=, a minute", "since=2026-01-01T01:00:00Z&"
                             "until=2026-01-01T01:01:00Z&limit=100"),
                            ("cursor=, 1 000 records", "cursor=1000000")):
            row[name + ", ms"] = f"{timed(server.get, '/logs/all?' + query):.1f}"
        for clients in (16, 256):
            row[f"records/s, {clients} clients"] = f"{server.load(clients, f'size{size}')['rate']:.0f}"
        row["peak RSS, MiB"] = f"{server.rss('VmHWM'):.1f}"
        row["all of it, MB/s"] = f"{read_all(server):.0f}"
        row["peak RSS after that, MiB"] = f"{server.rss('VmHWM'):.1f}"


def rivals_figures(data, size, row):
    fill_rival(data, size)
    with rival(data) as server:
        times = 3 if size < RIVAL_MOST else 1
        row["FastAPI: ready after, ms"] = f"{server.ready_s * 1000:.0f}"
        row["FastAPI: one record, ms"] = \
            f"{timed(server.request, 'POST', '/logs', '[' + record(size) + ']', times=times):.0f}"
        row["FastAPI: graph, ms"] = f"{timed(server.get, '/logs/grafica', times=times):.0f}"
        row["FastAPI: peak RSS, MiB"] = f"{server.rss('VmHWM'):.0f}"


def sizes(logserver, scratch):
    rows = []
    for size in SIZES:
        note(f"{size} records")
        row = {"stored": f"{size:,}".replace(",", " ")}
        data = os.path.join(scratch, f"size-{size}")
        os.mkdir(data)
        fill_files(data, size)
        without_index(logserver, data, size, row)
        note("at work")
        at_work(logserver, data, size, row)
        row["on disk with index, MB"] = subprocess.run(
            ["du", "-sm", data], capture_output=True, text=True).stdout.split()[0]
        shutil.rmtree(data)
        if size <= RIVAL_MOST:
            note("the rival")
            os.mkdir(data)
            rivals_figures(data, size, row)
            shutil.rmtree(data)
        rows.append(row)
        note(row)
    names = [name for name in rows[0] if name != "stored"]
    say("## With many records stored")
    say()
    say("| | " + " | ".join(row["stored"] for row in rows) + " |")
    say("|---|" + "---|" * len(rows))
    for name in names:
        say(f"| {name} | " + " | ".join(row.get(name, "-") for row in rows) + " |")


def main():
    logserver = os.path.abspath(sys.argv[1])
    scratch = os.environ.get("BENCH_DATA") or tempfile.mkdtemp(prefix="logserver-bench-")
    os.makedirs(scratch, exist_ok=True)
    try:
        say("# The log server's figures")
        say()
        say(f"Made by `make bench-logserver` on {os.cpu_count()} CPUs (load average before: "
            f"{os.getloadavg()[0]:.1f}), {SECONDS:g} s for each load; wrk and the servers share the "
            "CPUs. FastAPI does what the reference does (tests/bench/logserver/rival.py): it "
            "rewrites its file for each request.")
        say()
        stored_records(logserver, scratch)
        sizes(logserver, scratch)
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
