# SPDX-License-Identifier: GPL-2.0
"""What stands around a monitor under test: a module, a container runtime, cgroups
and log servers that do what a test tells them to."""

import concurrent.futures
import contextlib
import glob
import http.server
import json
import os
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
MONITOR = os.environ.get("MONITOR") or os.path.join(HERE, "../../monitor")
# The same with steps at which a test ends or stops it.
FAULTS = os.path.join(HERE, "../../build/faults/monitor")
LOGSERVER = os.path.join(HERE, "../../build/logserver/logserver")
# Every wait ends: what hangs fails its test, not the run.
PATIENCE_S = 25
# How often the module makes a new snapshot; the monitor looks every second.
FEED_S = 0.1


def cgroup_mount():
    with open("/proc/self/mounts") as mounts:
        for line in mounts:
            _, where, kind, *_ = line.split(" ")
            if kind == "cgroup2":
                return where
    return None


def equal(got, wanted, what):
    if got != wanted:
        raise AssertionError(f"{what}: {got!r} instead of {wanted!r}")


def true(value, what):
    if not value:
        raise AssertionError(what)


def wait_until(good, what):
    """For what no event tells of."""
    end = time.monotonic() + PATIENCE_S
    while not good():
        true(time.monotonic() < end, what)
        time.sleep(0.01)


def container_id(number):
    return f"{number:012x}".ljust(64, "c")


def boottime_us():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


class Module:
    """Replaces the snapshot again and again, as the module would make it anew."""

    def __init__(self, path):
        self.path = path
        self.sequence = 0
        self.containers = []
        self.changes = {}
        self.shift_us = 0  # how far its clock is off
        self.held = None
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.write()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.ended.wait(FEED_S):
            self.write()

    def document(self):
        now = boottime_us()
        self.sequence += 1
        return {
            "SchemaVersion": 1, "Instance": "0f9c2b1e-0000-4000-8000-000000000001",
            "Sequence": self.sequence, "BootTimeUs": now + self.shift_us, "CollectUs": 100, "Kernel": "6.1.0",
            "TotalRAM": 8388608, "FreeRAM": 6291456, "UsedRAM": 2097152, "AvailableRAM": 7000000,
            "BufferRAM": 1000, "CPUs": 2, "LoadAvg": [0, 0, 0],
            "CPU": {"UserUs": 1, "SystemUs": 1, "IdleUs": 1, "IOWaitUs": 0, "StealUs": 0},
            "Processes": [c.process(now) for c in self.containers if c.lives()],
            **self.changes,
        }

    def write(self):
        with self.lock:
            content = json.dumps(self.document()) if self.held is None else self.held
            if isinstance(content, str):
                content = content.encode()
            with open(self.path + ".new", "wb") as file:
                file.write(content)
            os.rename(self.path + ".new", self.path)

    def hold(self, content):
        """The snapshot is this from now on; None: a good one again."""
        with self.lock:
            self.held = content
        self.write()

    def close(self):
        self.ended.set()
        self.thread.join()

    def resume(self):
        """After close()."""
        self.ended.clear()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()


class Container:
    """One process, named in the snapshot; alive in a group of its own if it has one."""

    def __init__(self, number, cpu=0.0, pid=None, name="workload", command=("sleep", "1000"), **process):
        self.id = process.get("ContainerID") or container_id(number)
        self.cpu = cpu  # of one CPU
        self.child = None
        self.command = command
        self.start_us = boottime_us() - 60_000_000 + number
        self.fields = {
            "PID": pid or 4_000_000 + number, "PPID": 1, "Name": name, "Cmdline": name,
            "ContainerID": self.id, "Runtime": "docker", "Cgroup": "/docker/" + self.id,
            "CgroupID": 1, "State": "S", "Threads": 1, "StartTimeUs": self.start_us, "Vsz": 10240,
            "Rss": 2048, "MemoryUsage": 0.02, "CPUUsage": 1.0, "UserTimeUs": 0, "SystemTimeUs": 0,
            **process}

    def lives(self):
        # Not poll(), which says None, too, while another thread asks.
        if self.child is None:
            return True
        try:
            return os.waitid(os.P_PID, self.child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    def process(self, now):
        return {**self.fields, "CPUTimeUs": int((now - self.start_us) * self.cpu)}

    def listed(self, **changes):
        return {"Id": self.id, "Names": ["/n-" + self.id[:12]], "Image": "sysinfo/test",
                "State": "running", "Labels": {}, **changes}


class Groups:
    """
    Cgroups of containers. Where the machine's cgroup v2 has no memory controller, a
    group has no memory.current; so each container's folder is an ordinary one, in a tmpfs
    that only this mount namespace has, with a memory.current that a test writes, and the
    other control files bound to those of a real group with a real process.
    """

    count = 0
    lock = threading.Lock()

    def __init__(self):
        with Groups.lock:
            Groups.count += 1
            number = Groups.count
        self.root = f"{cgroup_mount()}/check-monitor-{os.getpid()}-{number}"
        self.mounts = []
        self.children = []
        self.folders = [self.root, self.root + "/docker", self.root + "/real"]
        for folder in self.folders:
            os.mkdir(folder)
        self.mount("-t", "tmpfs", "check-monitor", self.root + "/docker")

    def mount(self, *words):
        subprocess.run(["mount", *words], check=True)
        # What is mounted below the folder of the containers goes with it.
        if not words[-1].startswith(self.root + "/docker/"):
            self.mounts.append(words[-1])

    def add(self, container, memory_mib=1, bound=("cgroup.events", "cgroup.kill", "cpu.stat")):
        real = f"{self.root}/real/{container.id}"
        os.mkdir(real)
        self.folders.append(real)
        container.child = subprocess.Popen(container.command)
        self.children.append(container.child)
        container.fields["PID"] = container.child.pid
        container.group = real
        with open(real + "/cgroup.procs", "w") as file:
            file.write(str(container.child.pid))
        container.folder = f"{self.root}/docker/{container.id}"
        os.mkdir(container.folder)
        with open(container.folder + "/memory.current", "w") as file:
            file.write(f"{memory_mib << 20}\n")
        for name in ("cgroup.events", "cgroup.kill", "cpu.stat"):
            open(f"{container.folder}/{name}", "w").close()
            if name in bound:
                self.mount("--bind", f"{real}/{name}", f"{container.folder}/{name}")
        return container

    def close(self):
        for child in self.children:
            child.kill()
            child.wait()
        for where in reversed(self.mounts):
            subprocess.run(["umount", "--lazy", where], check=False)
        # A monitor's lock, left by one that was killed; the next one would take it over.
        for folder in glob.glob(self.root + "/sysinfo-monitor.*"):
            os.rmdir(folder)
        for folder in reversed(self.folders):
            os.rmdir(folder)


class Disk:
    """A file system that a test may freeze: then who writes to it hangs."""

    def __init__(self, stand):
        self.where, image = stand.path("fs"), stand.path("fs.img")
        self.frozen = False
        os.mkdir(self.where)
        with open(image, "wb") as file:
            file.truncate(4 << 20)
        subprocess.run(["mke2fs", "-q", "-F", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, self.where], check=True)
        stand.closing.callback(subprocess.run, ["umount", "--lazy", self.where], check=True)

    def freeze(self, yes=True):
        if yes != self.frozen:
            subprocess.run(["fsfreeze", "--freeze" if yes else "--unfreeze", self.where], check=True)
        self.frozen = yes

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.freeze(False)


def inspected(container, policy="no", Labels=None, **state):
    """What the runtime answers when it is asked for one container."""
    return {"Id": container.id,
            "State": {"Status": "running", "Running": True, "Paused": False, "Restarting": False,
                      "Dead": False, "Pid": 0, **state},
            "Config": {"Labels": Labels or {}},
            "HostConfig": {"RestartPolicy": {"Name": policy, "MaximumRetryCount": 0}, "AutoRemove": False}}


class Engine(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A container runtime that knows a few requests. on_list and its like may replace an
    answer: by (status, body), by "hang", "close", or by None for the usual one."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, path):
        self.containers = []  # (Container, changes of its entry)
        self.on_list = self.on_delete = self.on_post = self.on_inspect = self.on_events = lambda handler: None
        self.requests = []
        self.open = []
        self.changed = threading.Condition()
        self.ended = threading.Event()
        super().__init__(path, EngineHandler)
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def handle_error(self, request, client_address):
        """A monitor that is gone in the middle of an answer is part of some tests."""

    def seen(self, method):
        with self.changed:
            return [path for verb, path in self.requests if verb == method]

    def wait_seen(self, method, count=1):
        with self.changed:
            true(self.changed.wait_for(
                lambda: sum(verb == method for verb, _ in self.requests) >= count, PATIENCE_S),
                f"{count} {method} requests: {self.requests}")

    def deleted(self):
        return sorted(re.match(r"/containers/([^?]*)", path)[1] for path in self.seen("DELETE"))

    def process_request(self, request, client_address):
        self.open.append(request)
        super().process_request(request, client_address)

    def close(self):
        self.ended.set()
        self.shutdown()
        self.thread.join()
        self.server_close()
        # Those that are kept alive would be answered on.
        for request in self.open:
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, reply):
        if reply == "hang":
            self.server.ended.wait()
            reply = "close"
        self.close_connection = reply == "close"
        if reply == "close":
            return
        status, body = reply
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class EngineHandler(Handler):
    def handle_one(self, usual, special):
        with self.server.changed:
            self.server.requests.append((self.command, self.path))
            self.server.changed.notify_all()
        self.answer(special(self) or usual())

    def do_GET(self):
        if self.path.startswith("/containers/json"):
            self.handle_one(lambda: (200, json.dumps(
                [c.listed(**changes) for c, changes in self.server.containers if c.lives()]).encode()),
                self.server.on_list)
        elif self.path.startswith("/events?"):
            self.handle_one(lambda: (200, b""), self.server.on_events)
        else:
            self.handle_one(self.inspect, self.server.on_inspect)

    def inspect(self):
        """A container that runs, by the same word as in the list; without a main process."""
        wanted = self.path.split("/")[2]
        for container, changes in self.server.containers:
            if container.id == wanted and container.lives():
                entry = container.listed(**changes)
                return 200, json.dumps(inspected(container, Labels=entry["Labels"])).encode()
        return 404, b'{"message":"No such container"}'

    def do_DELETE(self):
        self.handle_one(lambda: (204, b""), self.server.on_delete)

    def do_POST(self):
        # Also where nobody looks at it: the connection is kept alive.
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.handle_one(lambda: (200, b'{"StatusCode":137}'), self.server.on_post)


class LogServer:
    """The real one."""

    def __init__(self, data):
        self.data = data
        self.process = subprocess.Popen([LOGSERVER, "--port", "0", "--data", data],
                                        stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            where = re.fullmatch(r"listening on (http://\S+)\n", line)
            if where:
                self.url = where[1]
                return
        raise AssertionError("the log server did not start")

    def records(self, name):
        try:
            with open(f"{self.data}/{name}.jsonl") as file:
                return [json.loads(line) for line in file]
        except FileNotFoundError:
            return []

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()


class FakeLogServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """One that answers POSTs as told: reply(number, path, records)."""

    daemon_threads = True

    def __init__(self, reply):
        self.reply = reply
        self.posts = []
        self.open = []
        self.changed = threading.Condition()
        self.ended = threading.Event()
        super().__init__(("127.0.0.1", 0), FakeLogHandler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def handle_error(self, request, client_address):
        pass

    def wait_posts(self, count):
        with self.changed:
            true(self.changed.wait_for(lambda: len(self.posts) >= count, PATIENCE_S),
                 f"{count} POSTs, not {len(self.posts)}")

    def process_request(self, request, client_address):
        self.open.append(request)
        super().process_request(request, client_address)

    close = Engine.close


class FakeLogHandler(Handler):
    def do_GET(self):
        self.answer("hang" if self.server.reply(0, self.path, []) == "hang" else (404, b"{}"))

    def do_POST(self):
        records = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.changed:
            self.server.posts.append((self.path, records))
            number = len(self.server.posts)
            self.server.changed.notify_all()
        self.answer(self.server.reply(number, self.path, records))


TAKEN = (200, b'{"received": true, "stored": 1, "duplicates": 0}')


class Monitor:
    """A running monitor, and all that it has said."""

    def __init__(self, command, **popen):
        # With the signals that Python ignores ignored: a write beyond RLIMIT_FSIZE fails.
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, restore_signals=False, **popen)
        self.out, self.err = [], []
        self.open = 2
        self.changed = threading.Condition()
        self.threads = [threading.Thread(target=self.read, args=pair) for pair in (
            (self.process.stdout, self.out), (self.process.stderr, self.err))]
        for thread in self.threads:
            thread.start()

    def read(self, stream, lines):
        for line in stream:
            with self.changed:
                lines.append(line)
                self.changed.notify_all()
        with self.changed:
            self.open -= 1
            self.changed.notify_all()
        stream.close()

    def text(self):
        with self.changed:
            return b"".join(self.out + self.err).decode("utf-8", "replace")

    def wait_for(self, found, what):
        """Until found() gives something, which is returned; fails at the monitor's end."""
        with self.changed:
            self.changed.wait_for(lambda: found() or not self.open, PATIENCE_S)
            result = found()
            if not result:
                raise AssertionError(f"{what}; it said: " + b"".join(
                    (self.out + self.err)[-12:]).decode("utf-8", "replace"))
            return result

    def wait_line(self, pattern):
        return self.wait_for(
            lambda: next((line for line in self.out + self.err if re.search(pattern, line)), None),
            f"no line like {pattern}")

    def cycles(self):
        """Of --json: all up to now."""
        return [json.loads(line) for line in self.out]

    def wait_cycle(self, good, what, after=0):
        """Of --json: the first such one beyond a number."""
        return self.wait_for(
            lambda: next((c for c in self.cycles() if c["cycle"] > after and good(c)), None), what)

    def last_cycle(self):
        with self.changed:
            return self.cycles()[-1]["cycle"] if self.out else 0

    def end(self, status=0, how=None):
        if how:
            self.process.send_signal(how)
        try:
            got = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError("it does not end; it said: " + self.text()[-1500:]) from None
        for thread in self.threads:
            thread.join()
        equal(got, status, "exit status; it said " + self.text()[-1500:])
        return self

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for thread in self.threads:
            thread.join()


def stopped(monitor):
    """Until it stands at the step that MONITOR_PAUSE names."""
    pid = monitor.process.pid
    end = time.monotonic() + PATIENCE_S
    while os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is None:
        true(monitor.process.poll() is None and time.monotonic() < end,
             "it does not come to that step; it said: " + monitor.text()[-1500:])
        time.sleep(0.01)


def outcome(cycle, container):
    return next(c["outcome"] for c in cycle["containers"] if c["id"] == container.id)


def of(records, container):
    return [r for r in records if r["container_id"] == container.id]


def actions_of(records, victim):
    return sorted(r["action"] for r in of(records, victim))


def slots(stand):
    """The intents in the spool: of the valid slot with the higher sequence."""
    best = (0, [])
    for name in ("intent.json", "intent.2.json"):
        with open(f"{stand.spool}/{name}", "rb") as file:
            head, _, rest = file.read().partition(b"\n")
        found = re.fullmatch(rb"sysinfo-intents 1 (\d+) ([0-9a-f]{8}) (\d+)", head)
        if not found:
            continue
        sequence, crc, length = found.groups()
        body = rest[:int(length)]
        # One that was being written when its writer was ended is not valid.
        if zlib.crc32(sequence + b" " + length + b"\n" + body) != int(crc, 16):
            continue
        best = max(best, (int(sequence), json.loads(body)), key=lambda pair: pair[0])
    return best[1]


def write_legacy_intents(stand, intents):
    """As an earlier version has them."""
    os.unlink(stand.spool + "/intent.2.json")
    with open(stand.spool + "/intent.json", "w") as file:
        json.dump(intents, file)


def preload(stand, source):
    """A library of this C source, for LD_PRELOAD."""
    library = stand.path("preload.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-xc", "-", "-o", library, "-ldl"],
                   input=source.encode(), check=True)
    return library


def rules(cycle):
    return {c["id"]: c["rule"] for c in cycle.get("containers", [])}


CRONTAB = """#!/bin/sh
table=%s
case $1 in
-l) [ -f $table ] && exec cat $table; echo "no crontab for $(id -un)" >&2; exit 1 ;;
-r) rm $table ;;
-) cat >$table ;;
esac
"""


NOTHING_KEPT = ("--keep-high", "0", "--keep-low", "0")


def one_line(result, status, *words):
    """Ended with this status, and said so in one line that has these words."""
    got, out, err = result
    equal((got, out, err.count("\n"), err[-1:]), (status, "", 1, "\n"), f"{status} and one line: {err}")
    true(err.startswith("monitor: "), err)
    for word in words:
        true(word in err, f"'{word}' is not in: {err}")


def nothing_removed(stand):
    equal(stand.engine.seen("DELETE"), [], "removals")
    equal([c.id for c, _ in stand.engine.containers if not c.lives()], [], "dead containers")


class Stand:
    """One test's own: a folder, a snapshot, a runtime, and what else it asks for."""

    def __init__(self):
        self.closing = contextlib.ExitStack()
        self.dir = tempfile.mkdtemp(prefix="check-monitor-")
        self.closing.callback(shutil.rmtree, self.dir)
        os.chmod(self.dir, 0o755)
        # No test may touch the crontab of whoever runs it.
        self.crontab = self.path("crontab")
        os.mkdir(self.path("bin"))
        with open(self.path("bin/crontab"), "w") as file:
            file.write(CRONTAB % self.crontab)
        os.chmod(self.path("bin/crontab"), 0o755)
        self.module = self.add(Module(self.path("snapshot")))
        self.engine = self.add(Engine(self.path("engine.sock")))
        self.cgroup_root = cgroup_mount()
        self.groups = None
        # Bound, but nobody listens: no connection, whoever else looks for a port.
        self.nobody = socket.socket()
        self.nobody.bind(("127.0.0.1", 0))
        self.closing.callback(self.nobody.close)
        self.server = f"http://127.0.0.1:{self.nobody.getsockname()[1]}"
        self.spool = self.path("spool")
        self.witness = ["--no-bpf"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closing.close()

    def path(self, name):
        return os.path.join(self.dir, name)

    def add(self, thing):
        self.closing.callback(thing.close)
        return thing

    def log_server(self):
        os.makedirs(self.path("data"), exist_ok=True)
        server = self.add(LogServer(self.path("data")))
        self.server = server.url
        return server

    def fake_log_server(self, reply):
        server = self.add(FakeLogServer(reply))
        self.server = server.url
        return server

    def container(self, number, cpu=0.0, memory_mib=1, listed=None, bound=None, **process):
        """One that can be decided on: known to the module, to the runtime and by its group."""
        if not self.groups:
            self.groups = self.add(Groups())
            self.cgroup_root = self.groups.root
        container = Container(number, cpu, **process)
        self.groups.add(container, memory_mib, **({"bound": bound} if bound is not None else {}))
        self.module.containers.append(container)
        self.engine.containers.append((container, listed or {}))
        return container

    def options(self):
        return ["--snapshot", self.module.path, "--runtime-socket", self.engine.server_address,
                "--cgroup-root", self.cgroup_root, "--server", self.server, "--spool", self.spool,
                "--images", self.path("images"), "--compose-dir", self.path("compose"),
                "--no-compose", *self.witness, "--interval", "1"]

    def environment(self):
        return {"PATH": self.path("bin") + ":/usr/bin:/bin:/usr/sbin:/sbin", "HOME": self.dir}

    def monitor(self, *options, wrap=(), generator=False, program=MONITOR, env=None, **popen):
        # Only now, so that the first look sees what the test has set up.
        self.module.write()
        return self.add(Monitor(
            [*wrap, program, *self.options(), *([] if generator else ["--no-generator"]), *options],
            env={**self.environment(), **(env or {})}, cwd=self.dir, **popen))

    def run(self, *options, wrap=(), program=None):
        """To its end: (status, stdout, stderr)."""
        try:
            done = subprocess.run([*wrap, program or MONITOR, *options], capture_output=True,
                                  stdin=subprocess.DEVNULL, env=self.environment(), cwd=self.dir,
                                  timeout=PATIENCE_S)
        except subprocess.TimeoutExpired as still:
            raise AssertionError(f"it does not end; it said: {still.stderr}") from None
        # As it is where cgroup v1 has the memory controller; see Groups.
        said = re.sub(r"monitor: the cgroup v2 at \S+ has no memory controller.*\n", "",
                      done.stderr.decode())
        return done.returncode, done.stdout.decode(), said

    def waiting(self, prefix="0"):
        """The records in the spool's files of that prefix."""
        found = []
        for name in sorted(os.listdir(self.spool)):
            if name.startswith(prefix) and name.endswith(".json"):
                with open(f"{self.spool}/{name}") as file:
                    found += json.load(file)
        return found


# What a test of several seconds of real cycles waits for is mostly the clock.
AT_ONCE = 12


def attempt(test):
    """What went wrong, or None."""
    try:
        with Stand() as stand:
            test(stand)
    except Exception as failure:
        return f"{type(failure).__name__}: {failure}"
    return None


def run_tests(namespace):
    """All functions test_... of a suite, or those named; prints TAP."""
    tests = [(name[5:], test) for name, test in namespace.items() if name.startswith("test_")]
    if sys.argv[1:]:
        tests = [(name, test) for name, test in tests if name in sys.argv[1:]]
    if os.geteuid() or not cgroup_mount():
        print("1..0 # SKIP wants root and cgroup v2")
        return 0
    if "CHECK_MONITOR_NAMESPACE" not in os.environ:
        os.environ["CHECK_MONITOR_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        results = pool.map(attempt, [test for _, test in tests])
        for number, ((name, _), failure) in enumerate(zip(tests, results), 1):
            print(f"{'not ok' if failure else 'ok'} {number} - {name}", flush=True)
            failed += failure is not None
            for line in (failure or "").splitlines():
                print("# " + line[:1000], flush=True)
    return 1 if failed else 0
