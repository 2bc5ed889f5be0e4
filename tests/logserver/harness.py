# SPDX-License-Identifier: GPL-2.0
"""What the log server's suites share: starting the program on a free port with
a directory of its own, talking to it, records, TAP."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import openapi

PROGRAM = os.environ.get("LOGSERVER") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "../../build/logserver/logserver")
# Every wait ends: a server that hangs fails its test, not the run.
PATIENCE_S = 60


class Server:
    def __init__(self, data, *options, prefix=(), **popen):
        self.data = data
        self.process = subprocess.Popen(
            [*prefix, PROGRAM, "--port", "0", "--data", data, *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **popen)
        self.port = None
        self.said = []
        for line in self.process.stdout:
            self.said.append(line)
            where = re.fullmatch(r"listening on https?://127\.0\.0\.1:(\d+)\n", line)
            if where:
                self.port = int(where[1])
                break
        if self.port is None:
            raise AssertionError("did not start: " + self.process.stderr.read())

    def __enter__(self):
        return self

    def __exit__(self, kind, *exception):
        try:
            # Whatever a test did to it, the server must end well.
            if kind is None and self.process.poll() is None:
                self.stop()
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process.stderr.close()

    def stop(self):
        """SIGTERM; gives what was printed to stderr."""
        self.process.send_signal(signal.SIGTERM)
        _, err = self.process.communicate(timeout=PATIENCE_S)
        equal(self.process.returncode, 0, "exit status after SIGTERM; it said " + err[-2000:])
        return err

    def peak_rss_kib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)

    def raw(self, data=b""):
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        sock.sendall(data)
        return sock

    def request(self, method, path, body=None, headers=None):
        connection = self.connect()
        try:
            connection.request(method, path, body, headers or {})
            reply = connection.getresponse()
            body = reply.read()
            openapi.check(method, path, reply.status, reply.headers, body)
            return reply.status, reply.headers, body
        finally:
            connection.close()

    def get(self, path):
        return self.request("GET", path)

    def get_json(self, path):
        status, headers, body = self.get(path)
        equal(status, 200, path)
        equal(headers["Content-Type"], "application/json", path)
        return json.loads(body)

    def post(self, path, records):
        body = records if isinstance(records, (bytes, str)) else json.dumps(records)
        status, _, reply = self.request("POST", path, body, {"Content-Type": "application/json"})
        return status, json.loads(reply)

    def store(self, path, records, stored, duplicates=0):
        equal(self.post(path, records),
              (200, {"received": True, "stored": stored, "duplicates": duplicates}), path)

    def metric(self, name):
        text = self.get("/metrics")[2].decode()
        return json.loads(re.search("^" + re.escape(name) + r" ([\d.]+)$", text, re.M)[1])


def equal(got, wanted, what):
    if got != wanted:
        raise AssertionError(f"{what}: {got!r} instead of {wanted!r}")


def true(value, what):
    if not value:
        raise AssertionError(what)


REFERENCE_KILL = {"pid": 4242, "container_id": "4f1c9a0e77d2", "name": "heavy", "vsz": 10240,
                  "rss": 2048, "memory_usage": 1.5, "cpu_usage": 98.75, "action": "stopped",
                  "timestamp": "23/11/2026 06:40:01"}
REFERENCE_MEMORY = {"total_ram": 8388608, "free_ram": 6291456, "used_ram": 2097152,
                    "timestamp": "23/11/2026 06:40:01"}


def kill(number, **changes):
    return {**REFERENCE_KILL, "timestamp": f"2026-11-23T06:{number // 60 % 60:02}:{number % 60:02}.123Z",
            "event_id": f"event-{number}", "host": "build-1", "boot_id": "b-1",
            "image": "warden/heavy", "class": "high", "reason": "more than 2 high",
            "memory_current": 104857600, "verified": True, "signal": "SIGKILL",
            "kill_latency_ms": 12.5, "sequence": number, "witness": "agreed", **changes}


def memory(number, **changes):
    return {**REFERENCE_MEMORY,
            "timestamp": f"2026-11-23T06:{number // 60 % 60:02}:{number % 60:02}Z",
            "event_id": f"sample-{number}", "host": "build-1", "boot_id": "b-1",
            "available_ram": 7000000, **changes}


def lines_of(data, name="logs.jsonl"):
    with open(os.path.join(data, name)) as file:
        return [json.loads(line) for line in file]


def run(*arguments, **options):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True,
                          timeout=PATIENCE_S, **options)


class Skip(Exception):
    """Raised by a test that can't be made here; says why."""


def main(module):
    """Run the functions of a module's vars() that are called test_..., each with a new directory."""
    tests = [(name[5:], test) for name, test in module.items() if name.startswith("test_")]
    if sys.argv[1:]:
        tests = [(name, test) for name, test in tests if name in sys.argv[1:]]
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for number, (name, test) in enumerate(tests, 1):
        data = tempfile.mkdtemp(prefix="logserver-")
        started = time.monotonic()
        try:
            test(data)
            print(f"ok {number} - {name}", flush=True)
            if os.environ.get("LOGSERVER_TIMES"):
                print(f"# {time.monotonic() - started:.1f} s", flush=True)
        except Skip as why:
            print(f"ok {number} - {name} # SKIP {why}", flush=True)
        except Exception as failure:
            failed += 1
            print(f"not ok {number} - {name}", flush=True)
            for line in f"{type(failure).__name__}: {failure}".splitlines():
                print("# " + line[:500], flush=True)
        finally:
            shutil.rmtree(data)
    return 1 if failed else 0
