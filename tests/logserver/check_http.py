#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The log server over real HTTP: each test starts the program on a free port
with a directory of its own. Prints TAP. Usage: check_http.py [NAME]...
The program is $LOGSERVER, by default the one that make builds."""

import gzip
import html.parser
import http.client
import json
import os
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import xml.etree.ElementTree

sys.dont_write_bytecode = True
from harness import (PATIENCE_S, PROGRAM, REFERENCE_KILL, REFERENCE_MEMORY, Server, equal, kill, lines_of,
                     main, memory, run, true)


# --- The program ---------------------------------------------------------------

def test_options(data):
    true("--healthcheck" in run("--help").stdout, "help")
    equal(run("--version").returncode, 0, "--version")
    for bad in (["--port", "65536"], ["--port", "x"], ["--port", ""], ["--listen", "nowhere"],
                ["--time-zone", "Mars"], ["--colour"], ["extra"], ["--port"]):
        result = run(*bad)
        equal(result.returncode, 2, bad)
        true(result.stderr and not result.stdout, bad)


def test_cannot_start(data):
    missing = run("--port", "0", "--data", data + "/missing")
    equal((missing.returncode, missing.stderr.count("\n")), (1, 1), missing.stderr)
    with Server(data) as server:
        other = os.path.join(data, "other")
        os.mkdir(other)
        used = run("--port", str(server.port), "--data", other)
        equal((used.returncode, used.stderr.count("\n")), (1, 1), used.stderr)
        true("in use" in used.stderr, used.stderr)
        twice = run("--port", "0", "--data", data)
        equal((twice.returncode, twice.stderr.count("\n")), (1, 1), twice.stderr)
        true("another log server" in twice.stderr, twice.stderr)


def test_health(data):
    with Server(data) as server:
        equal(server.get_json("/healthz"), {"status": "ok"}, "/healthz")
        equal(run("--healthcheck", "--port", str(server.port)).returncode, 0, "healthcheck")
        server.stop()
        result = run("--healthcheck", "--port", str(server.port))
        equal((result.returncode, result.stderr.count("\n")), (1, 1), "healthcheck when down")


def test_sigterm_drains(data):
    body = json.dumps([kill(1)]).encode()
    with Server(data) as server:
        sock = server.raw(b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                          b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        true(sock.recv(100).startswith(b"HTTP/1.1 100"), "100 Continue")
        server.process.send_signal(signal.SIGTERM)
        true("stopping" in server.process.stdout.readline(), "says that it stops")
        sock.sendall(body)
        true(sock.makefile("rb").readline().startswith(b"HTTP/1.1 200"), "answer while draining")
        sock.close()
        equal(server.process.wait(PATIENCE_S), 0, "exit status")
    equal(len(lines_of(data)), 1, "records")


# --- Records -------------------------------------------------------------------

def test_reference_records(data):
    with Server(data) as server:
        equal(server.get_json("/logs/all"), [], "no records")
        server.store("/logs", [REFERENCE_KILL, REFERENCE_KILL], 2)
        server.store("/logsmemory", [REFERENCE_MEMORY], 1)
        equal(server.get_json("/logs/all"), [REFERENCE_KILL] * 2, "/logs/all")
        equal(server.get_json("/logs/memory"), [REFERENCE_MEMORY], "/logs/memory")
    equal(lines_of(data), [REFERENCE_KILL] * 2, "logs.jsonl")
    equal(lines_of(data, "logsmemory.jsonl"), [REFERENCE_MEMORY], "logsmemory.jsonl")


def test_our_records_once(data):
    with Server(data) as server:
        server.store("/logs", [], 0)
        server.store("/logs", [kill(1), kill(2), kill(1)], 2, 1)
        server.store("/logs", [kill(2), kill(3)], 1, 1)
        server.store("/logsmemory", [memory(1), memory(1)], 1, 1)
        # The same id in the other log is another event.
        server.store("/logsmemory", [memory(2, event_id="event-1")], 1)
        server.stop()
    with Server(data) as server:
        server.store("/logs", [kill(1), kill(2), kill(3), kill(4)], 1, 3)
        server.store("/logsmemory", [memory(1)], 0, 1)
        equal(server.get_json("/logs/all"), [kill(1), kill(2), kill(3), kill(4)], "/logs/all")
        equal(server.metric('logserver_records_stored_total{log="kills"}'), 1, "stored")
        equal(server.metric('logserver_records_duplicate_total{log="kills"}'), 3, "duplicates")


def test_bad_records(data):
    long = "x" * 2000
    table = [
        # body, status, index, field
        (b"", 400, None, None),
        (b"[", 400, 0, None),
        (b"null", 400, None, None),
        (json.dumps(kill(1)), 400, None, None),
        (b"[{]", 400, 0, None),
        (b'[{"pid": 1,}]', 400, 0, None),
        (b"[" * 100000, 400, 0, None),
        # One that cJSON follows to the end, and one that it gives up on.
        (b'[{"x":' + b"[" * 990 + b"]" * 990 + b"}]", 400, 0, "x"),
        (b'[{"x":' + b"[" * 3000 + b"]" * 3000 + b"}]", 400, 0, None),
        (b'[{"name":"\xff"}]', 400, 0, None),
        (b'[{"name":"a\\u0000b"}]', 400, 0, None),
        ([kill(1), kill(2, pid=-1)], 400, 1, "pid"),
        ([kill(1), kill(2, pid="1")], 400, 1, "pid"),
        ([kill(1, timestamp="yesterday")], 400, 0, "timestamp"),
        ([kill(1, timestamp="2026-02-30T00:00:00Z")], 400, 0, "timestamp"),
        ([kill(1, memory_usage=-0.1)], 400, 0, "memory_usage"),
        ([kill(1, reason=long)], 400, 0, "reason"),
        ([kill(1, verified="yes")], 400, 0, "verified"),
        ([kill(1, name="")], 400, 0, "name"),
        ([kill(1, extra={"a": [[[[1]]]]})], 400, 0, "extra"),
        ([kill(1, extra=[1] * 256)], 400, 0, "extra"),
        ([kill(1, extra={"x" * 65: 1})], 400, 0, "x" * 64),
        ([kill(1, **{"x" * 65: 1})], 400, 0, "x" * 64),
        ([{"pid": 1}], 400, 0, "container_id"),
        ([kill(i) for i in range(1001)], 413, 1000, None),
        (b"[" + b" " * (1024 * 1024) + b"]", 413, None, None),
    ]
    with Server(data) as server:
        for body, status, index, field in table:
            got, reply = server.post("/logs", body)
            shown = str(body)[:80]
            equal((got, reply["index"], reply["field"]), (status, index, field), shown)
            true(isinstance(reply["error"], str) and len(reply["error"]) > 5, shown)
        equal(server.get_json("/logs/all"), [], "nothing of a bad request is stored")
        equal(server.metric('logserver_requests_rejected_total{log="kills"}'), len(table), "rejected")
        server.store("/logs", [kill(1)], 1)
    equal(len(lines_of(data)), 1, "records")


def test_unknown_fields_are_kept(data):
    record = kill(1, note="caf\u00e9 \U0001f600 \"\\\n", score=-1.25, flag=False, gone=None,
                  receipt={"populated": 0, "processes": [{"pid": 7, "signal": 9, "ms": 1.5}] * 20},
                  outcome="killed, unverified", evidence="", grounds=["survived", None, {}])
    with Server(data) as server:
        server.store("/logs", [record], 1)
        equal(server.get_json("/logs/all"), [record], "/logs/all")


def test_filters(data):
    records = [kill(i, host=f"h-{i % 2}") for i in range(100)]
    with Server(data) as server:
        server.store("/logs", records, 100)
        for query, wanted in (
                ("since=2026-11-23T06:00:10.123Z", records[10:]),
                ("since=2026-11-23T06:00:10.124Z", records[11:]),
                ("until=2026-11-23T06:00:10.123Z", records[:10]),
                ("since=23/11/2026%2006:00:11&until=23/11/2026%2006:00:20", records[11:20]),
                ("host=h-1", records[1::2]),
                ("host=nobody", []),
                ("limit=7", records[-7:]),
                ("limit=1000", records),
                ("host=h-0&limit=3", records[0::2][-3:]),
                ("until=2026-11-23T06:00:10Z&host=h-1&limit=2", records[7:10:2]),
                ("", records)):
            equal(server.get_json("/logs/all?" + query), wanted, query)
        for query in ("limit=0", "limit=x", "since=x", "color=red", "host=", "host=%00"):
            status, _, body = server.get("/logs/all?" + query)
            equal(status, 400, query)
            equal(json.loads(body)["field"], query.split("=")[0], query)


def test_time_zone(data):
    with Server(data, "--time-zone", "-06:00") as server:
        server.store("/logs", [REFERENCE_KILL], 1)
        equal(len(server.get_json("/logs/all?since=2026-11-23T12:40:01Z")), 1, "since")
        equal(len(server.get_json("/logs/all?until=2026-11-23T12:40:01Z")), 0, "until")


def test_many_records(data):
    records = [kill(i, reason="r" * (i % 900 + 1)) for i in range(5000)]
    with Server(data) as server:
        for i in range(0, 5000, 500):
            server.store("/logs", records[i:i + 500], 500)
        equal(server.get_json("/logs/all") == records, True, "5000 records, in order")


# --- HTTP ----------------------------------------------------------------------

def test_statuses(data):
    json_type = {"Content-Type": "application/json"}
    with Server(data) as server:
        for method, path, body, headers, wanted, allow in (
                ("GET", "/", None, {}, 404, None),
                ("GET", "/logs/all/", None, {}, 404, None),
                ("GET", "/graphs%00", None, {}, 404, None),
                ("GET", "/graphs/../../etc/passwd", None, {}, 404, None),
                ("GET", "/" + "a" * 3000, None, {}, 414, None),
                ("GET", "/logs", None, {}, 405, "POST"),
                ("PUT", "/logs", "[]", json_type, 405, "POST"),
                ("POST", "/logs/all", "[]", json_type, 405, "GET, HEAD"),
                ("DELETE", "/graphs", None, {}, 405, "GET, HEAD"),
                ("OPTIONS", "/logs", None, {}, 405, "POST"),
                ("POST", "/logs", "[]", {}, 415, None),
                ("POST", "/logs", "[]", {"Content-Type": "text/plain"}, 415, None),
                ("POST", "/logs", "[]", {"Content-Type": "application/jsonx"}, 415, None),
                ("POST", "/logs", "[]", {"Content-Type": "Application/JSON; charset=utf-8"}, 200, None),
                ("GET", "/healthz", "body", {}, 400, None)):
            status, reply, text = server.request(method, path, body, headers)
            equal((status, reply["Allow"]), (wanted, allow), f"{method} {path[:40]} {headers}")
            equal(reply["X-Content-Type-Options"], "nosniff", "security headers")
            true("default-src 'none'" in reply["Content-Security-Policy"], "security headers")
            true(reply["Access-Control-Allow-Origin"] is None, "CORS is closed")
            if status >= 400:
                what = f"{method} {path[:40]}"
                equal(reply["Content-Type"], "application/problem+json", what)
                problem = json.loads(text)
                equal((problem["status"], problem["detail"]), (status, problem["error"]), what)


def test_head(data):
    with Server(data) as server:
        server.store("/logs", [kill(1)], 1)
        for path in ("/logs/all", "/logs/memory?format=csv", "/graphs", "/graphs/memory.png",
                     "/healthz", "/readyz", "/metrics", "/openapi.json"):
            status, headers, body = server.request("HEAD", path)
            equal((status, body), (200, b""), path)
            equal(headers["Content-Type"], server.get(path)[1]["Content-Type"], path)


def test_body_limits(data):
    with Server(data) as server:
        head = b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        # Who asks first is told before it sends anything.
        sock = server.raw(head + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
        true(sock.recv(100).startswith(b"HTTP/1.1 413"), "Expect")
        sock.close()
        # A length that is not announced counts as well.
        connection = server.connect()
        connection.request("POST", "/logs", iter([b"[" + b" " * 1000000, b" " * 1000000]),
                           {"Content-Type": "application/json"}, encode_chunked=True)
        equal(connection.getresponse().status, 413, "chunked")
        connection.close()
        # So does a chunked body that is good.
        connection = server.connect()
        body = json.dumps([kill(1)]).encode()
        connection.request("POST", "/logs", iter([body[:10], body[10:]]),
                           {"Content-Type": "application/json"}, encode_chunked=True)
        equal(connection.getresponse().status, 200, "chunked")
        connection.close()
        # An endless body ends.
        sock = server.raw(head + b"Content-Length: 99999999\r\n\r\n")
        try:
            for _ in range(99):
                sock.sendall(b" " * 1000000)
            ended = False
        except OSError:
            ended = True
        sock.close()
        true(ended, "99 MB were swallowed")
        # A header that is too long, a request line that is none.
        for junk in (b"GET / HTTP/1.1\r\nX: " + b"x" * 40000 + b"\r\n\r\n", b"\x00\xff\r\n\r\n",
                     b"GET\r\n\r\n", b"GET /healthz HTTP/9.9\r\n\r\n"):
            sock = server.raw()
            try:
                sock.sendall(junk)
                sock.shutdown(socket.SHUT_WR)
                sock.recv(1000)
            except OSError:
                pass
            sock.close()
        equal(server.get("/healthz")[0], 200, "alive")
        equal(len(server.get_json("/logs/all")), 1, "records")


def test_slow_clients_hold_up_nobody(data):
    with Server(data) as server:
        server.store("/logs", [kill(i, reason="r" * 1000) for i in range(500)], 500)
        head = b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        slow = [server.raw(b"GET /logs/all HTTP/1.1\r\nHos") for _ in range(30)]
        slow += [server.raw(head + b"Content-Length: 1000\r\n\r\n[{") for _ in range(30)]
        # These ask for half a megabyte and do not read it.
        slow += [server.raw(b"GET /logs/all HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(30)]
        server.store("/logs", [kill(1000)], 1)
        equal(len(server.get_json("/logs/all")), 501, "records")
        equal(server.get("/graphs/memory.png")[0], 200, "graph")
        for sock in slow:
            sock.close()


def test_metrics(data):
    with Server(data) as server:
        server.store("/logs", [kill(1), kill(1)], 1, 1)
        server.get("/nowhere")
        status, headers, body = server.get("/metrics")
        text = body.decode()
        equal(headers["Content-Type"],
              "application/openmetrics-text; version=1.0.0; charset=utf-8", "type")
        true(text.endswith("\n# EOF\n"), "end")
        true('logserver_responses_total{status="404"} 1\n' in text, text)
        for line in text.splitlines()[:-1]:
            true(re.fullmatch(r'# (TYPE|HELP) logserver_[a-z_]+ .+|'
                              r'logserver_[a-z_]+(\{[a-z]+="[a-z0-9]+"\})? [\d.]+', line), line)
        _, headers, body = server.request("GET", "/metrics", headers={"Accept": "text/plain"})
        equal(headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8", "type")
        if shutil.which("promtool") is None:
            print("# without promtool, which `make check-logserver-metrics` gets", flush=True)
            return
        lint = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True)
        equal((lint.returncode, lint.stdout + lint.stderr), (0, b""), "promtool")


def test_readiness(data):
    with Server(data) as server:
        equal(server.get_json("/readyz"), {"status": "ready"}, "/readyz")


def test_etags(data):
    with Server(data) as server:
        server.store("/logs", [kill(i) for i in range(50)], 50)
        server.store("/logsmemory", [memory(1)], 1)
        paths = ("/logs/all", "/logs/all?host=build-1", "/logs/all?format=csv", "/logs/memory",
                 "/graphs/memory.png", "/graphs/processes.svg", "/openapi.json")
        tags = {}
        for path in paths:
            status, headers, body = server.get(path)
            tags[path] = headers["ETag"]
            true(re.fullmatch(r'"[0-9a-f]+"', tags[path]), path)
            for method in ("GET", "HEAD"):
                for given in (tags[path], "W/" + tags[path], '"x", ' + tags[path], "*"):
                    status, headers, body = server.request(method, path,
                                                           headers={"If-None-Match": given})
                    equal((status, body, headers["ETag"]), (304, b"", tags[path]), path)
            equal(server.request("GET", path, headers={"If-None-Match": '"x"'})[0], 200, path)
        equal(len(set(tags.values())), len(paths), "each has its own")
        server.store("/logs", [kill(50)], 1)
        for path in paths:
            # Removals are marked in the graph of memory.
            changes = "all" in path or "graphs" in path
            status = server.request("GET", path, headers={"If-None-Match": tags[path]})[0]
            equal(status, 200 if changes else 304, path)


def test_gzip(data):
    with Server(data) as server:
        server.store("/logs", [kill(i) for i in range(900)], 900)
        for path in ("/logs/all", "/logs/all?format=ndjson&host=build-1", "/logs/all?format=csv",
                     "/graphs/processes.svg", "/openapi.json", "/logs/all?cursor=0&limit=10"):
            plain = server.get(path)
            packed = server.request("GET", path, headers={"Accept-Encoding": "br, gzip"})
            equal((packed[0], packed[1]["Content-Encoding"]), (200, "gzip"), path)
            equal(gzip.decompress(packed[2]) == plain[2], True, path)
            true(len(packed[2]) * 2 < len(plain[2]), path)
            true(plain[1]["Content-Encoding"] is None and plain[1]["ETag"] != packed[1]["ETag"], path)
            true("Accept-Encoding" in packed[1]["Vary"], path)
        for path, accept in (("/graphs/memory.png", "gzip"), ("/logs/all", "gzip;q=0"),
                             ("/logs/all", "identity"), ("/healthz", "gzip")):
            reply = server.request("GET", path, headers={"Accept-Encoding": accept})
            equal(reply[1]["Content-Encoding"], None, path + " " + accept)


def test_tokens(data):
    tokens = os.path.join(data, "tokens")
    with open(tokens, "w") as file:
        file.write("# for people\nall-hosts-0123456789\n\nbuild-1-0123456789abcdef  build-1\n")
    with Server(data, "--tokens", tokens) as server:
        def ask(method, path, token, body=None):
            headers = {"Content-Type": "application/json"}
            if token is not None:
                headers["Authorization"] = token
            status, headers, reply = server.request(method, path, body, headers)
            return status, headers, reply

        for token in (None, "", "Bearer", "Bearer ", "Bearer x", "Basic all-hosts-0123456789",
                      "Bearer all-hosts-012345678", "Bearer all-hosts-01234567890",
                      "Bearer all-hosts-0123456788", "Bearer " + "a" * 4000,
                      "Bearer all-hosts-0123456789 build-1"):
            for method, path, body in (("POST", "/logs", json.dumps([kill(1)])),
                                       ("GET", "/logs/all", None), ("GET", "/graphs", None),
                                       ("GET", "/metrics", None), ("GET", "/nowhere", None),
                                       ("GET", "/openapi.json", None)):
                status, headers, _ = ask(method, path, token, body)
                equal((status, headers["WWW-Authenticate"]), (401, "Bearer"), f"{path} {token!s:.40}")
        equal((server.get("/healthz")[0], server.get("/readyz")[0]), (200, 200), "open to all")
        good, bound = "Bearer all-hosts-0123456789", "bearer build-1-0123456789abcdef"
        for token in (good, bound):
            equal(ask("GET", "/logs/all", token)[0], 200, token)
            equal(ask("GET", "/metrics", token)[0], 200, token)
        equal(ask("POST", "/logs", good, json.dumps([kill(1, host="other")]))[0], 200, "any host")
        equal(ask("POST", "/logs", bound, json.dumps([kill(2)]))[0], 200, "its host")
        status, _, reply = ask("POST", "/logs", bound, json.dumps([kill(3), kill(4, host="other")]))
        reply = json.loads(reply)
        equal((status, reply["index"], reply["field"]), (403, 1, "host"), "another host")
        equal(ask("POST", "/logs", bound, json.dumps([REFERENCE_KILL]))[0], 200, "no host")
        stored = json.loads(ask("GET", "/logs/all", good)[2])
        equal([record["host"] for record in stored], ["other", "build-1", "build-1"], "hosts")
        true("0123456789" not in server.stop(), "no token in the log")
    for bad in ("", "# nothing\n", "short\n", "has-a-bad-char\u00e9-0123456789\n", "a" * 128 + "\n",
                "good-enough-0123456789 two hosts\n"):
        with open(tokens, "w") as file:
            file.write(bad)
        result = run("--port", "0", "--data", data, "--tokens", tokens)
        equal((result.returncode, result.stderr.count("\n")), (1, 1), bad[:40] + result.stderr)


def test_safe_by_default(data):
    for address in ("0.0.0.0", "::", "192.0.2.1"):
        result = run("--listen", address, "--port", "0", "--data", data)
        equal((result.returncode, result.stderr.count("\n")), (2, 1), result.stderr)
        true("--tokens" in result.stderr and "--trust-network" in result.stderr, result.stderr)
    process = subprocess.Popen([PROGRAM, "--listen", "0.0.0.0", "--port", "0", "--data", data,
                                "--trust-network"], stdout=subprocess.PIPE, text=True)
    said = ""
    for said in process.stdout:
        if said.startswith("listening"):
            break
    process.send_signal(signal.SIGTERM)
    process.communicate()
    true(said.startswith("listening on http://0.0.0.0:") and process.returncode == 0, said)


def test_tls(data):
    if shutil.which("openssl") is None:
        print("# openssl is not installed: skipped", flush=True)
        return
    cert, key = os.path.join(data, "cert.pem"), os.path.join(data, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert, "-days",
                    "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)
    with Server(data, "--tls-cert", cert, "--tls-key", key) as server:
        context = ssl.create_default_context(cafile=cert)
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context,
                                                 timeout=PATIENCE_S)
        connection.request("POST", "/logs", json.dumps([kill(1)]),
                           {"Content-Type": "application/json"})
        equal(connection.getresponse().read(), b'{"received":true,"stored":1,"duplicates":0}', "TLS")
        true(connection.sock.version() in ("TLSv1.2", "TLSv1.3"), "TLS 1.2 or later")
        connection.close()
        sock = server.raw(b"GET /logs/all HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            equal(b"HTTP/1.1 200" in sock.recv(1000), False, "not in the clear")
        except OSError:
            pass
        sock.close()
        check = run("--healthcheck", "--port", str(server.port), "--tls-cert", cert, "--tls-key", key)
        equal(check.returncode, 0, check.stderr)
    for options in (["--tls-cert", cert], ["--tls-key", key]):
        equal(run("--port", "0", "--data", data, *options).returncode, 2, options)
    equal(run("--port", "0", "--data", data, "--tls-cert", cert, "--tls-key", cert).returncode, 1,
          "a key that is none")


def test_locked_in(data):
    """As in its container: another user, no capability, nothing to write to but the volume."""
    prefix = ["unshare", "-m", "sh", "-c", 'mount --make-rprivate / && mount --bind "$0" "$0" && '
              'mount -o remount,bind,ro / && exec setpriv --reuid 10001 --regid 10001 '
              '--clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs -- "$@"', data]
    os.chmod(data, 0o700)
    os.chown(data, 10001, 10001) if os.geteuid() == 0 else None
    if subprocess.run([*prefix, "test", "-x", PROGRAM, "-a", "-w", data, "-a", "!", "-w", "/etc"],
                      capture_output=True).returncode:
        print("# not allowed to make a read-only root: skipped", flush=True)
        return
    with Server(data, prefix=prefix) as server:
        with open(f"/proc/{server.process.pid}/status") as status:
            true("CapEff:\t0000000000000000\n" in status.read(), "capabilities")
        server.store("/logs", [kill(1)], 1)
        server.store("/logsmemory", [memory(1)], 1)
        check_graphs(server, "read-only root")
        server.get_json("/logs/grafica")
        equal(server.get("/readyz")[0], 200, "ready")
        equal(len(server.get_json("/logs/all?host=build-1")), 1, "a query")


def test_rate(data):
    with Server(data, "--client-rate", "5") as server:
        connection = server.connect()
        statuses = []
        for _ in range(60):
            connection.request("GET", "/healthz")
            reply = connection.getresponse()
            reply.read()
            statuses.append(reply.status)
        connection.close()
        true(statuses[:10] == [200] * 10 and 429 in statuses, statuses)
        equal(reply.headers["Retry-After"] if statuses[-1] == 429 else "1", "1", "Retry-After")


def test_openapi(data):
    """What is described is what is there; that answers are as described, every request of
    this suite checks (see harness.py)."""
    with Server(data) as server:
        document = server.get_json("/openapi.json")
        equal(document["openapi"], "3.1.0", "version")
        for path, methods in document["paths"].items():
            for method in ("get", "head", "post"):
                body = b"[]" if method == "post" else None
                status, _, _ = server.request(method.upper(), path, body,
                                              {"Content-Type": "application/json"})
                equal(status == 405, method not in methods, f"{method} {path}")
                true(status in (200, 405), f"{method} {path}: {status}")
        for path, kind in (("/logs/all", "Kill"), ("/logs/memory", "Memory")):
            names = server.get(path + "?format=csv")[2].decode().strip().split(",")
            equal(sorted(names), sorted(document["components"]["schemas"][kind]["properties"]), kind)
            for parameter in document["paths"][path]["get"]["parameters"]:
                status, _, reply = server.get(f"{path}?{parameter['name']}=%00")
                equal((status, json.loads(reply)["field"]), (400, parameter["name"]), path)


# --- Graphs --------------------------------------------------------------------

PNG = b"\x89PNG\r\n\x1a\n"
HOSTILE = ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "`id`", "$(id)",
           "'; system('touch /tmp/owned') #", "\\n\"\nset output '/tmp/owned'", "\t?\tNaN",
           "EOD", "{/=90 big}", "\u202e\x07\x1b[31m", "]]>", "&lt;", "%s%n", "\U0001f600" * 12]


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text = set(), set(), ""

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attributes)

    def handle_data(self, text):
        self.text += text


def check_graphs(server, what):
    for name in ("memory", "processes"):
        status, headers, body = server.get(f"/graphs/{name}.png")
        equal((status, headers["Content-Type"], body[:8]), (200, "image/png", PNG), what)
        status, headers, body = server.get(f"/graphs/{name}.svg")
        equal((status, headers["Content-Type"]), (200, "image/svg+xml"), what)
        xml.etree.ElementTree.fromstring(body)
        true(b"<script" not in body and b"<image" not in body and b"<a " not in body, what)
    status, headers, body = server.get("/graphs")
    equal((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"), what)
    page = Tags()
    page.feed(body.decode())
    true(page.tags <= {"html", "head", "meta", "title", "link", "style", "body", "main", "header",
                       "h1", "h2", "p", "dl", "div", "dd", "dt", "span", "figure", "img",
                       "section", "table", "thead", "tbody", "tr", "th", "td", "footer", "a"},
         page.tags)
    true(page.attributes <= {"lang", "charset", "name", "content", "rel", "href", "nonce",
                             "class", "alt", "src"}, page.attributes)
    nonce = re.search(r"style-src 'nonce-([0-9a-f]{32})'", headers["Content-Security-Policy"])[1]
    true(f'<style nonce="{nonce}">'.encode() in body, "nonce")
    equal(body.count(b"data:image/svg+xml;base64,"), 2, what + ": pictures")
    return page


def test_graphs(data):
    with Server(data) as server:
        page = check_graphs(server, "no records")
        true("No container has been removed yet" in page.text, page.text)
        before = server.get("/graphs/processes.png")[2]
        for count in (1, 9, 40):
            start = int(server.metric('logserver_records_stored_total{log="kills"}'))
            server.store("/logs", [kill(i) for i in range(start, start + count)], count)
            server.store("/logsmemory", [memory(i) for i in range(start, start + count)], count)
            check_graphs(server, f"{count} more")
            after = server.get("/graphs/processes.png")[2]
            true(before != after, "a new record changes the graph")
            before = after
        equal(server.get("/graphs/processes.png")[2], before, "nothing new")


def test_what_was_not_removed(data):
    """A dry run is drawn as one; what survived or ended by itself is told of, not drawn."""
    def figure(page, what):
        found = re.search(r"(\d+)\s*" + what, page.text)
        return found and int(found[1])

    with Server(data) as server:
        server.store("/logsmemory", [memory(i) for i in range(10)], 10)
        for i, action in enumerate(("survived", "gone", "died", "died")):
            server.store("/logs", [kill(i, action=action, evidence=["x"])], 1)
        page = check_graphs(server, "none removed")
        equal([figure(page, what) for what in ("containers removed", "would be removed", "survived",
                                                "ended by itself")], [0, None, 1, 3], page.text)
        picture = server.get("/graphs/processes.svg")[2]
        true(b"No container has been removed yet" in picture, "not drawn")
        true(b"removal" not in server.get("/graphs/memory.svg")[2], "not marked")
        server.store("/logs", [kill(4, action="would_kill"), kill(5, dry_run=True)], 2)
        picture = server.get("/graphs/processes.svg")[2]
        true(b"high, dry run" in picture and b"high consumer" not in picture, "a dry run")
        server.store("/logs", [kill(6), kill(7, action="eliminado")], 2)
        picture = server.get("/graphs/processes.svg")[2]
        true(b"high, dry run" in picture and b"high consumer" in picture, "both")
        true(b"removal" in server.get("/graphs/memory.svg")[2], "marked")
        page = check_graphs(server, "all")
        equal([figure(page, what) for what in ("containers removed", "would be removed", "survived",
                                                "ended by itself")], [2, 2, 1, 3], page.text)


def test_hostile_names(data):
    with Server(data) as server:
        server.store("/logs", [kill(i, name=text, image=text, reason=text, container_id=text,
                                    host=text[:16], **{"class": text})
                               for i, text in enumerate(HOSTILE)], len(HOSTILE))
        for i, text in enumerate(HOSTILE):
            server.store("/logsmemory", [memory(i, host=text[:16])], 1)
            check_graphs(server, repr(text))
        page = check_graphs(server, "all")
        true("<script>alert(1)</script>" in page.text, "shown as text")
        true("Hosts, newest sample first" in page.text, "a table of hosts")
        true(not os.path.exists("/tmp/owned"), "gnuplot ran a name")


def test_draw(data):
    images = os.path.join(data, "pictures")
    with Server(data, "--images", images) as server:
        server.store("/logsmemory", [memory(1)], 1)
        reply = server.get_json("/logs/grafica")
        equal(reply, {"drawn": True, "directory": images,
                      "images": ["Memory.png", "Processes.png"]}, "/logs/grafica")
        equal(sorted(os.listdir(images)), ["Memory.png", "Processes.png"], "images")
        for name in os.listdir(images):
            with open(os.path.join(images, name), "rb") as file:
                equal(file.read(8), PNG, name)
        shutil.rmtree(images)
        status, _, body = server.get("/logs/grafica")
        equal(status, 503, body)
    with Server(data) as server:
        server.get_json("/logs/grafica")
        true(os.path.exists(os.path.join(data, "images", "Memory.png")), "default directory")


def test_without_gnuplot(data):
    with Server(data, env={"PATH": "/nonexistent"}) as server:
        status, headers, body = server.get("/graphs/memory.png")
        equal(status, 503, body)
        true("gnuplot is not installed" in json.loads(body)["error"], body)
        equal(headers["Retry-After"], "5", "Retry-After")
        equal(server.get("/graphs")[0], 200, "the page")
        server.store("/logs", [kill(1)], 1)


# --- Trouble -------------------------------------------------------------------

def test_torn_line_is_repaired(data):
    with Server(data) as server:
        server.store("/logs", [kill(1), kill(2)], 2)
        server.kill()
    path = os.path.join(data, "logs.jsonl")
    for torn in (b'{"pid":4242,"conta', b"\0" * 5000, json.dumps(kill(3)).encode(), b"x" * 100000):
        whole = os.path.getsize(path)
        with open(path, "ab") as file:
            file.write(torn)
        with Server(data) as server:
            equal(server.get_json("/logs/all"), [kill(1), kill(2)], "/logs/all")
            true(f"cut off {len(torn)} bytes" in server.stop(), "report")
        equal(os.path.getsize(path), whole, "size")
    with Server(data) as server:
        server.store("/logs", [kill(2), kill(3)], 1, 1)
        equal(server.stop(), "", "nothing to report")


def test_damaged_lines_are_passed_over(data):
    with open(os.path.join(data, "logs.jsonl"), "wb") as file:
        for line in (json.dumps(kill(1)).encode(), b"", b"\0\0\0", b'{"pid":1}', b"x" * 100000,
                     json.dumps(kill(2)).encode()):
            file.write(line + b"\n")
    with Server(data) as server:
        equal(server.get_json("/logs/all"), [kill(1), kill(2)], "/logs/all")
        equal(server.get_json("/logs/all?limit=2"), [kill(1), kill(2)], "limit")
        server.store("/logs", [kill(1), kill(3)], 1, 1)
        true("4 damaged lines" in server.stop(), "report")


def test_killed_under_load(data):
    acknowledged, lock = [], threading.Lock()
    number = iter(range(10 ** 9))
    enough = threading.Semaphore(0)

    def send(server):
        while True:
            with lock:
                events = [next(number) for _ in range(3)]
            try:
                status, _ = server.post("/logs", [kill(i) for i in events])
            except (OSError, http.client.HTTPException, ValueError):
                return
            if status == 200:
                with lock:
                    acknowledged.extend(events)
                enough.release()

    for _ in range(5):
        with Server(data) as server:
            threads = [threading.Thread(target=send, args=(server,)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for _ in range(40):
                enough.acquire(timeout=PATIENCE_S)
            server.kill()
            for thread in threads:
                thread.join()
    with Server(data) as server:
        stored = [record["sequence"] for record in server.get_json("/logs/all")]
        equal(len(stored), len(set(stored)), "each event once")
        equal(set(acknowledged) - set(stored), set(), "acknowledged and lost")
        # What was not acknowledged is sent again, and everything stands once.
        sent = next(number)
        for start in range(0, sent, 500):
            equal(server.post("/logs", [kill(i) for i in range(start, min(start + 500, sent))])[0],
                  200, "sent again")
        equal(sorted(record["sequence"] for record in server.get_json("/logs/all")),
              list(range(sent)), "all of them")


def test_disk_full_and_back(data):
    """A limit on the size of files stands for a full disk: a write comes up short."""
    limit = 20000
    with Server(data) as server:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        stored = 0
        while True:
            status, reply = server.post("/logs", [kill(stored * 10 + i) for i in range(10)])
            if status != 200:
                break
            stored += 1
        equal(status, 503, reply)
        true("File too large" in reply["error"] and stored >= 1, reply)
        equal(len(server.get_json("/logs/all")), stored * 10, "nothing of it is given out")
        true(os.path.getsize(os.path.join(data, "logs.jsonl")) < limit, "and nothing is left of it")
        equal(server.post("/logs", [kill(stored * 10 + i) for i in range(10)])[0], 503, "still full")
        server.store("/logsmemory", [memory(1)], 1)
        equal(server.metric('logserver_requests_failed_total{log="kills"}'), 2, "failed")

        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE,
                         (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        # Not a duplicate: it never was stored.
        server.store("/logs", [kill(stored * 10 + i) for i in range(10)], 10)
        equal(server.get_json("/logs/all"), [kill(i) for i in range(stored * 10 + 10)], "/logs/all")
        said = server.stop().splitlines()
        equal(len(said), 2, said)
        true("refused" in said[0] and "stored again" in said[1], said)


def test_many_at_once(data):
    failures = []

    def send(server, first):
        try:
            connection = server.connect()
            for i in range(first, first + 20):
                connection.request("POST", "/logs", json.dumps([kill(i), kill(i)]),
                                   {"Content-Type": "application/json"})
                reply = json.loads(connection.getresponse().read())
                equal(reply, {"received": True, "stored": 1, "duplicates": 1}, i)
            connection.close()
        except Exception as failure:
            failures.append(failure)

    with Server(data) as server:
        threads = [threading.Thread(target=send, args=(server, i * 20)) for i in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(failures, [], "failures")
        equal(sorted(r["sequence"] for r in server.get_json("/logs/all")), list(range(640)), "all")
        with open(f"/proc/{server.process.pid}/status") as status:
            peak_kib = int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1])
        # Sanitizers have memory of their own.
        true("LOGSERVER_SANITIZED" in os.environ or peak_kib < 32 * 1024, f"peak RSS {peak_kib} KiB")


if __name__ == "__main__":
    sys.exit(main(globals()))
