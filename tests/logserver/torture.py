#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The long fault run: what the suites do briefly, often enough to count. Prints TAP and
figures. LOGSERVER_KILLS: how many kill -9 (200)."""

import os
import random
import socket
import sys
import threading
import time

sys.dont_write_bytecode = True
os.environ.setdefault("LOGSERVER_KILLS", "200")

import check_store
from harness import Server, equal, kill, main, true


def test_killed_under_load(data):
    check_store.test_killed_while_files_rotate(data)


def test_sender_and_server_killed_in_turn(data):
    check_store.test_sender_and_server_killed_in_turn(data)


def test_disk_that_fills(data):
    check_store.test_disk_that_fills(data)


def test_failed_sync_is_not_believed(data):
    check_store.test_failed_sync_is_not_believed(data)


def hold(server, first, more, pause_s, gone):
    """A client that sends a byte now and then, until it is cut; notes how long it held."""
    started = time.monotonic()
    sock = server.raw()
    sock.settimeout(pause_s)
    try:
        sock.sendall(first)
        while True:
            try:
                if sock.recv(4096) == b"":
                    break
            except socket.timeout:
                sock.sendall(more)
    except OSError:
        pass
    sock.close()
    gone.append(time.monotonic() - started)


def test_hundreds_of_slow_clients(data):
    post = b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    kinds = [(b"GET /logs/all HTTP/1.1\r\n", b"X"), (b"", b"G"),
             (post + b"Content-Length: 100000\r\n\r\n[{", b" "),
             (post + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n")]
    gone, took = [], []
    with Server(data) as server:
        server.store("/logs", [kill(i) for i in range(1000)], 1000)
        threads = [threading.Thread(target=hold, args=(server, *kinds[i % 4], 2 + i % 5, gone))
                   for i in range(300)]
        for thread in threads:
            thread.start()
        number = 1000
        while len(gone) < len(threads):
            started = time.monotonic()
            server.store("/logs", [kill(number)], 1)
            took.append(time.monotonic() - started)
            number += 1
            time.sleep(0.05)
            true(time.monotonic() - started < 90, "they are never cut")
        for thread in threads:
            thread.join()
        took.sort()
        true(max(gone) < 60, f"the longest held {max(gone):.0f} s")
        true(took[len(took) * 99 // 100] < 0.5, f"p99 {took[len(took) * 99 // 100]:.3f} s meanwhile")
        print(f"# 300 slow clients, the longest held {max(gone):.0f} s; {len(took)} others meanwhile: p50 "
              f"{took[len(took) // 2] * 1000:.1f} ms, p99 {took[len(took) * 99 // 100] * 1000:.1f} ms; "
              f"peak RSS {server.peak_rss_kib()} KiB", flush=True)


def test_readers_that_do_not_read(data):
    with Server(data) as server:
        for start in range(0, 20000, 1000):
            server.store("/logs", [kill(i) for i in range(start, start + 1000)], 1000)
        socks = [server.raw(b"GET /logs/all HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(200)]
        server.store("/logs", [kill(20000)], 1)
        statuses = [server.get("/logs/all?limit=1")[0] for _ in range(3)]
        true(set(statuses) <= {200, 503}, statuses)
        equal(server.get("/graphs/processes.png")[0], 200, "a graph")
        deadline = time.monotonic() + 60
        while server.get("/logs/all?limit=1")[0] != 200:
            true(time.monotonic() < deadline, "they hold the streams for ever")
            time.sleep(0.5)
        true(server.peak_rss_kib() < 32 * 1024, f"peak RSS {server.peak_rss_kib()} KiB")
        print(f"# 200 readers that do not read: peak RSS {server.peak_rss_kib()} KiB", flush=True)
        for sock in socks:
            sock.close()


def mangle(chance, good):
    data = bytearray(good)
    for _ in range(chance.randrange(1, 8)):
        at = chance.randrange(len(data))
        how = chance.randrange(4)
        if how == 0:
            data[at] = chance.randrange(256)
        elif how == 1:
            del data[at:at + chance.randrange(1, 40)]
        elif how == 2:
            data[at:at] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 20)))
        else:
            data[at:at] = data[max(0, at - 30):at] * chance.randrange(1, 50)
        if not data:
            data = bytearray(b"\r\n\r\n")
    return bytes(data)


def test_malicious_requests(data):
    """Requests that are nearly right, five thousand of them, from a fixed seed."""
    chance = random.Random(202106003)
    import json
    body = json.dumps([kill(1)]).encode()
    good = [b"GET /logs/all?since=2026-11-23T06:40:01Z&limit=5&host=a HTTP/1.1\r\nHost: x\r\n"
            b"Accept-Encoding: gzip\r\nIf-None-Match: \"abc\"\r\nAuthorization: Bearer abc\r\n\r\n",
            b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body),
            b"POST /logsmemory HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)]
    with Server(data, "--client-rate", "0") as server:
        for _ in range(5000):
            sock = server.raw()
            try:
                sock.sendall(mangle(chance, chance.choice(good)))
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
            except OSError:
                pass
            sock.close()
        equal(server.get("/healthz")[0], 200, "alive")
        json.loads(server.get("/logs/all")[2])
        true(server.peak_rss_kib() < 32 * 1024, f"peak RSS {server.peak_rss_kib()} KiB")


if __name__ == "__main__":
    sys.exit(main(globals()))
