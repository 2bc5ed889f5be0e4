#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The log server's store: files, index, queries, what a crash and a full disk
leave behind. Prints TAP. Usage: check_store.py [NAME]..."""

import csv
import errno
import glob
import http.client
import io
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
from harness import (PATIENCE_S, Server, Skip, equal, kill, main, memory, true)

SMALL = ("--rotate-bytes", "65536")


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        true(time.monotonic() < deadline, "waited in vain: " + what)
        time.sleep(0.02)


def closed_files(data, name="logs"):
    return sorted(glob.glob(os.path.join(data, name + ".[0-9]*")))


def all_compressed(data, name="logs"):
    files = closed_files(data, name)
    return files and all(file.endswith(".zst") for file in files)


def text_of(path):
    if path.endswith(".zst"):
        return subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True).stdout
    with open(path, "rb") as file:
        return file.read()


def whole_text(data, name="logs"):
    files = closed_files(data, name) + [os.path.join(data, name + ".jsonl")]
    return b"".join(text_of(file) for file in files)


def fill(server, count, first=0, step=500, **changes):
    for start in range(first, first + count, step):
        records = [kill(i, host=f"h-{i % 3}", container_id=f"{i:012x}" + "0" * 52,
                        image=f"image-{i // 1000}", **changes)
                   for i in range(start, min(start + step, first + count))]
        server.store("/logs", records, len(records))


def drop_index(data, name="logs"):
    for file in glob.glob(os.path.join(data, name + ".index*")):
        os.unlink(file)


def sequences(server, query=""):
    return [record["sequence"] for record in server.get_json("/logs/all" + query)]


def test_files_rotate_and_are_compressed(data):
    with Server(data, *SMALL) as server:
        fill(server, 3000)
        equal(sequences(server), list(range(3000)), "while files are compressed")
        wait_until(lambda: all_compressed(data), "compression")
        equal(sequences(server), list(range(3000)), "compressed")
        fill(server, 100, 3000)
        true(len(closed_files(data)) > 5, closed_files(data))
        text = server.get("/logs/all?format=ndjson")[2]
        equal(text == whole_text(data), True, "the files, read with zstd, are the log")
        plain = sum(int(os.path.basename(f).split(".")[1].split("-")[1]) -
                    int(os.path.basename(f).split(".")[1].split("-")[0]) for f in closed_files(data))
        packed = sum(os.path.getsize(f) for f in closed_files(data))
        true(packed * 5 < plain, f"{plain} bytes became {packed}")
    with Server(data, *SMALL) as server:
        equal(sequences(server), list(range(3100)), "after a start")
        server.store("/logs", [kill(5), kill(2999), kill(3099), kill(3100)], 1, 3)


def test_index_is_made_anew(data):
    with Server(data, *SMALL) as server:
        fill(server, 2000)
        wait_until(lambda: all_compressed(data), "compression")
        wanted = server.get("/logs/all?host=h-1&limit=50")[2]
        picture = server.get("/graphs/processes.svg")[2]
    index = os.path.join(data, "logs.index")

    def garbage():
        with open(index, "wb") as file:
            file.write(b"not a database" * 1000)

    def torn():
        drop = os.path.getsize(index) // 2
        os.truncate(index, drop)

    def other_version():
        with sqlite3.connect(index) as database:
            database.execute("PRAGMA user_version = 99")
        database.close()

    def foreign():
        with sqlite3.connect(index) as database:
            database.execute("UPDATE state SET end = end - 1000")
        database.close()

    def missing():
        drop_index(data)

    for harm in (missing, garbage, torn, other_version, foreign):
        harm()
        with Server(data, *SMALL) as server:
            equal(sequences(server), list(range(2000)), "all")
            equal(server.get("/logs/all?host=h-1&limit=50")[2] == wanted, True, "a query")
            equal(server.get("/graphs/processes.svg")[2] == picture, True, "the graph")
            server.store("/logs", [kill(0), kill(1000), kill(1999)], 0, 3)
            true("made anew" in server.stop(), f"{harm.__name__}: it says so")
    with Server(data, *SMALL) as server:
        equal(server.stop(), "", "nothing to report")


def test_large_index_is_made_anew(data):
    """More than is brought to the index in one go, most of it compressed."""
    with Server(data, *SMALL) as server:
        fill(server, 40000, step=1000)
        wait_until(lambda: all_compressed(data), "compression")
        server.kill()
    drop_index(data)
    with Server(data, *SMALL) as server:
        equal(server.said[0], "logs.jsonl: 40000 records, 40000 of them read\n", "start")
        equal(sequences(server), list(range(40000)), "all")
        server.store("/logs", [kill(0), kill(33333), kill(39999)], 0, 3)


def test_index_catches_up(data):
    """Killed before anything was indexed; then with some of it indexed."""
    with Server(data) as server:
        fill(server, 300)
        server.kill()
    with Server(data) as server:
        equal(server.said[0], "logs.jsonl: 300 records, 300 of them read\n", "start")
        server.stop()
    with Server(data) as server:
        equal(server.said[0], "logs.jsonl: 300 records, 0 of them read\n", "start")
        server.store("/logs", [kill(299), kill(300)], 1, 1)
        server.kill()
    with Server(data) as server:
        equal(server.said[0], "logs.jsonl: 301 records, 1 of them read\n", "start")
        server.store("/logs", [kill(i) for i in range(301)], 0, 301)
        equal(sequences(server, "?limit=2"), [299, 300], "newest")


def test_answers_while_the_index_is_made(data):
    """More to read than a start waits for: it listens at once, and says how far it is."""
    lines = b"".join(json.dumps(kill(i, reason="x" * 200)).encode() + b"\n" for i in range(60000))
    with Server(data) as server:
        fill(server, 10)
    with open(os.path.join(data, "logs.jsonl"), "ab") as file:
        file.write(lines[lines.index(b'{"pid"', len(lines) // 6000):])
    # Nothing can be brought to the index for now: it comes to a stop on its way.
    lock = sqlite3.connect(os.path.join(data, "logs.index"), isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    with Server(data) as server:
        equal(server.get("/healthz")[0], 200, "/healthz")
        for path in ("/readyz", "/logs/all", "/graphs", "/graphs/memory.png", "/logs/grafica"):
            status, headers, body = server.get(path)
            equal((status, headers["Retry-After"]), (503, "5"), path)
            true("% done" in json.loads(body)["error"], body)
        equal(server.post("/logs", [kill(1)])[0], 503, "POST")
        equal(server.get("/openapi.json")[0], 200, "/openapi.json")
        true(0 <= server.metric("logserver_loaded_ratio") < 1, "metrics")
        server.process.send_signal(signal.SIGTERM)
        lock.rollback()
        equal(server.process.wait(PATIENCE_S), 0, "it ends in the middle of it")
    with Server(data) as server:
        wait_until(lambda: server.get("/readyz")[0] == 200, "the index")
        stored = sequences(server)
        equal(stored[:10] + stored[-1:], list(range(10)) + [59999], "records")
        equal(len(stored), len(set(stored)), "each once")
        server.store("/logs", [kill(0), kill(59999), kill(60000)], 1, 2)
        equal(server.metric("logserver_loaded_ratio"), 1, "metrics")
    lock.close()


def test_other_files_under_the_index(data):
    """A backup put back: the index knows more than there is."""
    with Server(data) as server:
        fill(server, 10)
        server.stop()
    path = os.path.join(data, "logs.jsonl")
    with open(path, "rb") as file:
        lines = file.readlines()
    with open(path, "wb") as file:
        file.writelines(lines[:5])
    with Server(data) as server:
        equal(sequences(server), list(range(5)), "what is there")
        server.store("/logs", [kill(4), kill(5)], 1, 1)
        true("made anew" in server.stop(), "it says so")
    with open(path, "wb") as file:
        file.writelines(lines[6:10] + lines[:5])
    with Server(data) as server:
        equal(sequences(server), [6, 7, 8, 9, 0, 1, 2, 3, 4], "other lines")
        server.store("/logs", [kill(5)], 1)


def test_more_than_memory_holds(data):
    """Far more ids than wait for the index: each is known for ever."""
    count = 60000
    with Server(data) as server:
        for start in range(0, count, 1000):
            records = [memory(i) for i in range(start, start + 1000)]
            server.store("/logsmemory", records, 1000)
        for start in (0, 30000, count - 1000):
            records = [memory(i) for i in range(start, start + 1000)]
            server.store("/logsmemory", records, 0, 1000)
        server.kill()
    with Server(data) as server:
        for start in (0, 30000, count - 1000):
            records = [memory(i) for i in range(start, start + 1000)]
            server.store("/logsmemory", records, 0, 1000)
        equal(server.metric('logserver_records{log="memory"}'), count, "records")


def test_file_closed_by_a_duplicate(data):
    """A file that was longer than allowed when the server started, as after a kill at the
    wrong moment, is closed by whatever comes next: also by what stores nothing."""
    with Server(data) as server:
        fill(server, 200)
        server.stop()
    with Server(data, *SMALL) as server:
        wait_until(lambda: server.metric('logserver_index_pending{log="kills"}') == 0, "the index")
        server.store("/logs", [kill(0)], 0, 1)
        wait_until(lambda: all_compressed(data), "compression")
        equal(sequences(server), list(range(200)), "compressed")
        server.store("/logs", [kill(200)], 1)
        server.stop()
    with Server(data, *SMALL) as server:
        equal(sequences(server), list(range(201)), "after a start")


def test_queries_read_little(data):
    with Server(data, *SMALL) as server:
        fill(server, 20000, step=1000)
        wait_until(lambda: all_compressed(data), "compression")

        def bytes_read(query):
            with open(f"/proc/{server.process.pid}/io") as file:
                before = int(file.readline().split()[1])
            reply = server.get_json("/logs/all" + query)
            with open(f"/proc/{server.process.pid}/io") as file:
                return reply, int(file.readline().split()[1]) - before

        _, everything = bytes_read("")
        for query, wanted in (
                (f"?container={12345:012x}", [12345]),
                (f"?container={12345:012x}" + "0" * 52, [12345]),
                ("?container=nobody", []),
                ("?image=image-7", list(range(7000, 8000))),
                ("?image=image-7&host=h-2", [i for i in range(7000, 8000) if i % 3 == 2]),
                ("?image=image-70", []),
                ("?host=nobody", []),
                ("?limit=3", [19997, 19998, 19999]),
                ("?limit=3&host=h-0", [19992, 19995, 19998]),
                ("?limit=2&image=image-3", [3998, 3999])):
            reply, read = bytes_read(query)
            equal([record["sequence"] for record in reply], wanted, query)
            true(read * 4 < everything, f"{query}: {read} of {everything} bytes read")


def test_times_narrow(data):
    with Server(data, *SMALL) as server:
        for hour in range(24):
            records = [kill(hour * 200 + i, timestamp=f"2026-11-23T{hour:02}:{i // 60:02}:{i % 60:02}Z")
                       for i in range(200)]
            server.store("/logs", records, 200)
        for query, wanted in (
                ("since=2026-11-23T23:03:00Z", list(range(23 * 200 + 180, 24 * 200))),
                ("until=2026-11-23T00:00:05Z", list(range(5))),
                ("since=2026-11-23T10:00:00Z&until=2026-11-23T11:00:00Z", list(range(2000, 2200))),
                ("until=2026-11-23T11:00:00Z&limit=3", [2197, 2198, 2199]),
                ("since=2027-01-01T00:00:00Z", [])):
            equal(sequences(server, "?" + query), wanted, query)


def next_page(headers):
    link = headers["Link"]
    if link is None:
        return None
    true(link.startswith("<") and link.endswith('>; rel="next"'), link)
    return link[1:link.index(">")]


def test_cursors(data):
    with Server(data, *SMALL) as server:
        fill(server, 2500)
        for query, wanted in (("cursor=0", list(range(2500))),
                              ("cursor=0&limit=700&host=h-1", list(range(1, 2500, 3))),
                              ("cursor=0&limit=2500", list(range(2500))),
                              ("limit=1&cursor=0&container=" + f"{77:012x}", [77])):
            path, got, pages = "/logs/all?" + query, [], 0
            while path:
                status, headers, body = server.get(path)
                equal(status, 200, path)
                got += [record["sequence"] for record in json.loads(body)]
                path, pages = next_page(headers), pages + 1
                # What comes meanwhile comes last.
            equal(got, wanted, query)
        # A cursor stays what it is when files are compressed, and after a start.
        path = next_page(server.get("/logs/all?cursor=0&limit=1200")[1])
        wait_until(lambda: all_compressed(data), "compression")
        equal(sequences(server, path[len("/logs/all"):])[0], 1200, "compressed")
        server.stop()
    drop_index(data)
    with Server(data, *SMALL) as server:
        equal(sequences(server, path[len("/logs/all"):])[0], 1200, "index made anew")
        equal(sequences(server, "?cursor=999999999999"), [], "beyond the end")


def test_queries_while_records_come(data):
    """A query ends, and with what was stored when it began."""
    stop = threading.Event()

    def send(server):
        number = 1000
        while not stop.is_set():
            server.post("/logs", [kill(number + i) for i in range(3)])
            number += 3

    with Server(data, *SMALL) as server:
        fill(server, 1000)
        thread = threading.Thread(target=send, args=(server,))
        thread.start()
        try:
            before = 1000
            for query in ("", "?limit=500", "?cursor=0&limit=100000", "?host=build-1") * 10:
                got = sequences(server, query)
                true(got == list(range(got[0], got[0] + len(got))) if got else "host" in query, query)
                true(len(got) < 100000, query)
                if not query:
                    true(len(got) >= before, "no record goes away")
                    before = len(got)
        finally:
            stop.set()
            thread.join()


def test_formats(data):
    hostile = ['=1+1', '+1', '-1', '@x', 'a,b', 'say "hi"', 'two\r\nlines', "\t=1", "caf\u00e9"]
    records = [kill(i, name=name, extra="kept", cpu_usage=0.1 + i) for i, name in enumerate(hostile)]
    with Server(data) as server:
        server.store("/logs", records, len(records))
        status, headers, body = server.get("/logs/all?format=ndjson")
        equal((status, headers["Content-Type"]), (200, "application/x-ndjson"), "NDJSON")
        equal([json.loads(line) for line in body.splitlines()], records, "NDJSON")
        status, headers, body = server.get("/logs/all?format=csv")
        equal((status, headers["Content-Type"]), (200, "text/csv; charset=utf-8; header=present"),
              "CSV")
        rows = list(csv.DictReader(io.StringIO(body.decode(), newline="")))
        for row, record in zip(rows, records, strict=True):
            name = record["name"]
            guarded = "'" + name if name[0] in "=+-@\t\r" else name
            equal(row["name"], guarded, "CSV")
            equal((row["pid"], float(row["cpu_usage"]), row["verified"]),
                  ("4242", record["cpu_usage"], "true"), "CSV")
        for accept, wanted in (("application/x-ndjson", "application/x-ndjson"),
                               ("text/csv", "text/csv; charset=utf-8; header=present"),
                               ("text/html, */*", "application/json"), ("", "application/json")):
            _, headers, _ = server.request("GET", "/logs/all", headers={"Accept": accept})
            equal(headers["Content-Type"], wanted, accept)
        server.store("/logsmemory", [memory(1)], 1)
        body = server.get("/logs/memory?format=csv")[2].decode().split("\r\n")
        equal(body[0], "total_ram,free_ram,used_ram,timestamp,event_id,host,boot_id,available_ram",
              "heading")
        equal(body[1].split(",")[0], "8388608", "row")


def test_retention_by_size(data):
    # All 12 000 take 127 kB compressed, so some must go however soon they are.
    with Server(data, *SMALL, "--keep-bytes", "100000") as server:
        fill(server, 6000)
        wait_until(lambda: all_compressed(data), "compression")
        fill(server, 6000, 6000)
        wait_until(lambda: all_compressed(data) and not os.path.exists(
            closed_files(data)[0].replace(".zst", "")), "compression")
        wait_until(lambda: sum(os.path.getsize(f) for f in closed_files(data)) < 100000, "removal")

        def newest():
            """The records that stay; nothing while more of the oldest are on their way out."""
            kept = sequences(server)
            whole = 0 < len(kept) < 12000 and kept == list(range(12000 - len(kept), 12000))
            return kept if whole and server.metric('logserver_records{log="kills"}') == len(kept) else []

        wait_until(newest, "the newest stay, and are counted")
        got = newest()
        # What was removed is forgotten, what is stored is known.
        server.store("/logs", [kill(0), kill(11999), kill(got[0])], 1, 2)
        equal(sequences(server, "?cursor=0&limit=1"), [got[0]], "a cursor before the start")
        server.stop()
    with Server(data, *SMALL, "--keep-bytes", "100000") as server:
        equal(sequences(server)[-2:], [11999, 0], "after a start")


def test_retention_by_age(data):
    with Server(data) as server:
        fill(server, 1000, timestamp="2021-01-01T00:00:00Z")
        server.stop()
    with Server(data, "--keep-days", "30") as server:
        wait_until(lambda: server.get_json("/logs/all") == [], "removal")
        server.store("/logs", [kill(1, timestamp=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))], 1)
        equal(sequences(server), [1], "what is new stays")
        cursor = next_page(server.get("/logs/all?cursor=0&limit=1")[1])
        equal(cursor, None, "the only page")
        server.stop()
    with Server(data, "--keep-days", "30") as server:
        equal(sequences(server), [1], "after a start")


def test_half_made_files_go(data):
    with Server(data, *SMALL) as server:
        fill(server, 1000)
        wait_until(lambda: all_compressed(data), "compression")
        server.stop()
    first = closed_files(data)[0]
    with open(first[:-4], "wb") as file:
        file.write(text_of(first))
    shutil.copy(first, first + ".new")
    with Server(data, *SMALL) as server:
        equal(sequences(server), list(range(1000)), "all")
        wait_until(lambda: all_compressed(data) and not os.path.exists(first[:-4]), "compression")
        true(not os.path.exists(first + ".new"), "half made")
        equal(sequences(server), list(range(1000)), "all")


def test_damaged_compressed_file(data):
    with Server(data, *SMALL) as server:
        fill(server, 2000)
        wait_until(lambda: all_compressed(data), "compression")
        server.stop()
    victim = closed_files(data)[2]
    with open(victim, "r+b") as file:
        file.seek(os.path.getsize(victim) // 2)
        file.write(b"\xff" * 100)
    with Server(data, *SMALL) as server:
        try:
            server.get("/logs/all")
            ended = True
        except (http.client.HTTPException, OSError):
            ended = False
        true(not ended, "an answer that lacks records must not end as if it were whole")
        equal(sequences(server, "?limit=5"), list(range(1995, 2000)), "what is not in it is given out")
        server.store("/logs", [kill(2000), kill(1)], 1, 1)
        server.stop()
    drop_index(data)
    with Server(data, *SMALL) as server:
        got = sequences(server)
        true(1500 < len(got) < 2001 and got == sorted(got), "the rest")
        true("damaged lines" in server.stop(), "report")


def test_killed_while_files_rotate(data):
    """Killed again and again while files are closed, compressed, indexed, removed."""
    acknowledged, lock = set(), threading.Lock()
    number = iter(range(10 ** 9))
    enough = threading.Semaphore(0)

    def send(server):
        while True:
            with lock:
                events = [next(number) for _ in range(50)]
            status = None
            try:
                while status != 200:
                    # Refused while it makes its index: then it is asked now and then.
                    if status:
                        time.sleep(0.05)
                    status, _ = server.post("/logs", [kill(i) for i in events])
            except (OSError, http.client.HTTPException, ValueError):
                return
            with lock:
                acknowledged.update(events)
            enough.release()

    rounds = int(os.environ.get("LOGSERVER_KILLS", "8"))
    started = time.monotonic()
    for round_number in range(rounds):
        if round_number % 5 == 4:
            drop_index(data)
        with Server(data, *SMALL) as server:
            threads = [threading.Thread(target=send, args=(server,)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for _ in range(10 + round_number % 7):
                enough.acquire(timeout=PATIENCE_S)
            server.kill()
            for thread in threads:
                thread.join()
    with Server(data, *SMALL) as server:
        stored = sequences(server)
        equal(len(stored), len(set(stored)), "each event once")
        equal(acknowledged - set(stored), set(), "acknowledged and lost")
        sent = next(number)
        for start in range(0, sent, 500):
            equal(server.post("/logs", [kill(i) for i in range(start, min(start + 500, sent))])[0],
                  200, "sent again")
        there = sequences(server)
        equal((sorted(set(range(sent)) - set(there))[:20], len(there)), ([], sent), "all of them, once")
        wait_until(lambda: all_compressed(data), "compression")
        equal(server.get("/logs/all?format=ndjson")[2] == whole_text(data), True,
              "what is given out is what the files hold")
    print(f"# {rounds} kills in {time.monotonic() - started:.0f} s: {len(acknowledged)} acknowledged, "
          f"{len(acknowledged - set(stored))} lost, {len(stored) - len(set(stored))} twice", flush=True)


def test_sender_and_server_killed_in_turn(data):
    """Senders with spools and the server, killed in turn and both; the server away for a
    while: at the end each event stands once, in order by host."""
    hosts, count = ("a", "b", "c"), 300
    port_file = os.path.join(data, "port")
    store = os.path.join(data, "store")
    spools = {host: os.path.join(data, host) for host in hosts}
    for directory in (store, *spools.values()):
        os.mkdir(directory)
    with open(port_file, "w") as file:
        file.write("1")

    def start_sender(host):
        return subprocess.Popen([os.path.join(os.path.dirname(os.path.abspath(__file__)), "sender.py"),
                                 host, port_file, spools[host], str(count)])

    def start_server():
        server = Server(store, *SMALL)
        with open(port_file + ".new", "w") as file:
            file.write(str(server.port))
        os.rename(port_file + ".new", port_file)
        return server

    def records(server):
        return server.metric('logserver_records{log="kills"}')

    senders = {host: start_sender(host) for host in hosts}
    server, kills, turns = start_server(), 0, 0
    try:
        while any(sender.poll() is None for sender in senders.values()):
            before = records(server)
            deadline = time.monotonic() + 2
            while records(server) < min(before + 60, len(hosts) * count) and time.monotonic() < deadline:
                time.sleep(0.01)
            if turns < 12:
                victims = (turns % 3 != 1, turns % 3 != 0)
                if victims[0]:
                    server.kill()
                    server.__exit__(KeyError)
                if victims[1]:
                    host = hosts[turns // 3 % 3]
                    senders[host].kill()
                    senders[host].wait()
                    senders[host] = start_sender(host)
                if victims[0]:
                    # Away for long enough that they have to keep what they make.
                    time.sleep(0.2)
                    server = start_server()
                kills += sum(victims)
                turns += 1
        got = {host: [record["sequence"] for record in server.get_json(f"/logs/all?host={host}")]
               for host in hosts}
        for host in hosts:
            equal(got[host], list(range(count)), f"host {host}: each once, in order")
        server.stop()
        print(f"# {kills} kills of senders and server: {len(hosts) * count} events, each once, in order",
              flush=True)
    finally:
        for sender in senders.values():
            sender.kill()
            sender.wait()
        server.__exit__(KeyError)


class Disk:
    """A file system of its own: a tmpfs, or on a device that lies in a tmpfs, which has
    less room than the device says, so that writing to it fails as on a broken disk."""

    def __init__(self, data, size, device=None):
        self.mounts = []
        self.below = tempfile.mkdtemp(prefix="below-", dir=data)
        self.path = self.below
        self.mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.below)
        if device:
            self.path = tempfile.mkdtemp(prefix="disk-", dir=data)
            self.image = os.path.join(self.below, "image")
            with open(self.image, "wb") as image:
                image.truncate(64 << 20)
            subprocess.run(["mkfs.ext4", "-q", "-b", "4096", *device, self.image], check=True)
            self.attach()

    def mount(self, *words):
        done = subprocess.run(["mount", *words], capture_output=True, text=True)
        if done.returncode:
            self.close()
            raise Skip("not allowed to mount a disk: " + done.stderr.strip()[:80])
        self.mounts.append(words[-1])

    def attach(self):
        self.mount("-o", "loop", self.image, self.path)
        # Of a request that it could write in part, the loop device says that all is well;
        # so none is longer than a page of the tmpfs.
        with open(f"/sys/block/{self.device_name()}/queue/max_sectors_kb", "w") as most:
            most.write("4")

    def device_name(self):
        return os.path.basename(subprocess.run(
            ["findmnt", "-n", "-o", "SOURCE", self.path], capture_output=True, text=True,
            check=True).stdout.strip())

    def detach(self):
        """What only the kernel's memory holds of it is gone."""
        subprocess.run(["umount", self.path], check=True)
        self.mounts.remove(self.path)

    def resize(self, size):
        subprocess.run(["mount", "-o", f"remount,size={size}", self.below], check=True)

    def close(self):
        for where in reversed(self.mounts):
            subprocess.run(["umount", "-l", where], check=True)
        self.mounts = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def store_until_refused(server, first, step=100):
    """How many there are when it refuses; and how it does."""
    while True:
        status, reply = server.post("/logs", [kill(first + i, reason="x" * 500) for i in range(step)])
        if status != 200:
            equal(status, 503, reply)
            return first, reply
        first += step


def test_disk_that_fills(data):
    with Disk(data, "4m") as disk:
        with Server(disk.path) as server:
            stored, reply = store_until_refused(server, 0)
            true("No space left" in reply["error"], reply)
            equal(server.get("/readyz")[0], 503, "/readyz")
            equal(server.get("/healthz")[0], 200, "/healthz")
            equal(len(sequences(server)), stored, "nothing is lost, nothing half stored")
            server.kill()
            disk.resize("64m")
        with Server(disk.path) as server:
            equal(len(sequences(server)), stored, "after a kill on a full disk")
            disk.resize("5m")
            stored, _ = store_until_refused(server, stored)
            disk.resize("64m")
            server.store("/logs", [kill(stored + i) for i in range(500)], 500)
            equal(sequences(server), list(range(stored + 500)), "it goes on by itself")
            wait_until(lambda: server.get("/readyz")[0] == 200, "/readyz")


def bad_disk(data, **changes):
    """The environment in which the disk is bad while a file is there, and that file."""
    program = os.environ.get("LOGSERVER_SANITIZED")
    library = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                           "../../build/tests/logserver/bad_disk.so")
    if program:
        raise Skip("a sanitizer wants to be the first library")
    order = os.path.join(data, "bad")
    return {**os.environ, "LD_PRELOAD": library, "BAD_DISK": order, **changes}, order


def test_disk_with_errors(data):
    """I/O errors, and a disk that has become read-only: refused with the reason, then on
    by itself."""
    store = os.path.join(data, "store")
    os.mkdir(store)
    env, order = bad_disk(data, BAD_DISK_FILE=os.path.join(store, "logs.jsonl"))
    with Server(store, env=env) as server:
        server.store("/logs", [kill(i) for i in range(10)], 10)
        for number, reason in ((errno.EIO, "Input/output error"),
                               (errno.EROFS, "Read-only file system"),
                               (errno.EDQUOT, "Disk quota exceeded")):
            first = len(sequences(server))
            with open(order, "w") as file:
                file.write(str(number))
            for _ in range(3):
                status, reply = server.post("/logs", [kill(first), kill(3)])
                equal(status, 503, reply)
                true(reason in reply["error"], reply)
            equal(sequences(server), list(range(first)), "what is there is given out")
            os.unlink(order)
            server.store("/logs", [kill(first), kill(3)], 1, 1)
            equal(server.get("/readyz")[0], 200, "/readyz")
        said = server.stop()
        for reason in ("Input/output error", "Read-only file system", "are stored again"):
            true(reason in said, said)
    with Server(store) as server:
        equal(sequences(server), list(range(13)), "after a start")


def test_failed_sync_is_not_believed(data):
    """A real disk refuses what was written to it: the kernel then calls its copy clean.
    What was acknowledged must be on the disk all the same, also where the server is
    killed at that moment."""
    whole = ("--rotate-bytes", str(256 << 20))

    def check(disk, stored):
        """What the disk has, the kernel's memory of it gone."""
        disk.detach()
        disk.attach()
        with Server(disk.path) as server:
            there = sequences(server)
            equal((len(there), sorted(set(range(stored)) - set(there))[:9], max(there)),
                  (stored, [], stored - 1), "on the disk")
            server.kill()

    with Disk(data, "6m", device=("-O", "^has_journal")) as disk:
        env, _ = bad_disk(data, BAD_DISK_KILLS="1",
                          BAD_DISK_FILE=os.path.join(disk.path, "logs.jsonl"))
        with Server(disk.path, *whole) as server:
            stored, reply = store_until_refused(server, 0)
            true("No space left" in reply["error"] or "output error" in reply["error"], reply)
            disk.resize("8m")
            server.store("/logs", [kill(stored)], 1)
            server.kill()
        check(disk, stored + 1)

        with Server(disk.path, *whole, env=env) as server:
            try:
                store_until_refused(server, stored + 1)
                killed = False
            except (OSError, http.client.HTTPException, ValueError):
                killed = True
            true(killed, "it was to be killed at the failure")
            server.process.wait(PATIENCE_S)
            disk.resize("64m")
        # The kernel still has what never came to the disk.
        with Server(disk.path, *whole) as server:
            for first in range(0, 2 * stored, 100):
                equal(server.post("/logs", [kill(first + i) for i in range(100)])[0], 200, "again")
            server.kill()
        check(disk, 2 * stored)


def test_disk_turned_read_only(data):
    """By the kernel, as it does after an error in its own structures."""
    with Disk(data, "64m", device=("-O", "^has_journal", "-e", "remount-ro")) as disk:
        with Server(disk.path) as server:
            server.store("/logs", [kill(i) for i in range(100)], 100)
            with open(f"/sys/fs/ext4/{disk.device_name()}/trigger_fs_error", "w") as trigger:
                trigger.write("a test")
            status, reply = server.post("/logs", [kill(100)])
            equal(status, 503, reply)
            true("Read-only" in reply["error"], reply)
            equal(server.get("/readyz")[0], 503, "/readyz")
            equal(server.get("/healthz")[0], 200, "/healthz")
            equal(len(sequences(server)), 100, "what is there is given out")
            server.kill()
        disk.detach()
        subprocess.run(["fsck.ext4", "-fy", disk.image], capture_output=True)
        disk.attach()
        with Server(disk.path) as server:
            server.store("/logs", [kill(i) for i in range(101)], 1, 100)


def test_memory_stays_small(data):
    with Server(data, *SMALL) as server:
        for start in range(0, 50000, 1000):
            server.store("/logsmemory", [memory(i, host=f"h-{i % 70}") for i in range(start, start + 1000)],
                         1000)
        fill(server, 10000, step=1000)
        server.get("/logs/memory")
        server.get("/logs/all?host=h-1")
        server.get("/graphs")
        true("LOGSERVER_SANITIZED" in os.environ or server.peak_rss_kib() < 32 * 1024,
             f"peak RSS {server.peak_rss_kib()} KiB")


if __name__ == "__main__":
    sys.exit(main(globals()))
