# SPDX-License-Identifier: GPL-2.0
"""What runs in a guest with Docker: its Engine's API, its containers' cgroups, a monitor."""

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import threading
import time

SOCKET = "/run/docker.sock"
GROUPS = "/sys/fs/cgroup/docker"
# Every wait ends: what hangs fails its test. An emulated machine is slow.
PATIENCE_S = 120


class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(SOCKET)


def engine(method, path, body=None):
    """(status, answer): JSON where it is."""
    connection = Connection("engine", timeout=PATIENCE_S)
    connection.request(method, path, None if body is None else json.dumps(body),
                       {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    try:
        return answer.status, json.loads(text)
    except ValueError:
        return answer.status, text


def done(method, path, body=None):
    status, answer = engine(method, path, body)
    if status >= 300:
        raise AssertionError(f"{method} {path}: {status} {answer}")
    return answer


def import_image(name, folder, program, change):
    """An image of one static program."""
    tar = subprocess.Popen(["tar", "-C", folder, "-c", program], stdout=subprocess.PIPE)
    subprocess.run(["docker", "import", "--change", change, "-", name], stdin=tar.stdout, check=True,
                   stdout=subprocess.DEVNULL)
    tar.stdout.close()
    tar.wait()


def create(name, image, command=None, host=None, **config):
    """Made, but not started: its id."""
    return done("POST", f"/containers/create?name={name}", {
        "Image": image, **({"Cmd": command} if command else {}),
        "HostConfig": {"NetworkMode": "none", **(host or {})}, **config})["Id"]


def start(container):
    done("POST", f"/containers/{container}/start")


def group(container):
    return f"{GROUPS}/{container}"


def populated(folder):
    try:
        with open(folder + "/cgroup.events") as events:
            return "populated 1" in events.read()
    except OSError:
        return False


def wait_dead(containers, patience_s=PATIENCE_S):
    """Until no process of theirs is left; by the kernel's word, without polling."""
    poll = select.poll()
    left = {}
    for container in containers:
        try:
            fd = os.open(group(container) + "/cgroup.events", os.O_RDONLY)
        except FileNotFoundError:
            continue
        left[fd] = container
        poll.register(fd, select.POLLPRI)
    end = time.monotonic() + patience_s
    while True:
        for fd in list(left):
            try:
                alive = b"populated 1" in os.pread(fd, 4096, 0)
            except OSError:
                alive = False
            if not alive:
                poll.unregister(fd)
                os.close(fd)
                del left[fd]
        if not left:
            return
        if time.monotonic() > end:
            raise AssertionError(f"still alive: {sorted(left.values())}")
        poll.poll(1000)


def wait_until(true, what):
    """For what raises no event."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"not in time: {what}")
        time.sleep(0.05)


def main_pid(container):
    return done("GET", f"/containers/{container}/json")["State"]["Pid"]


def command(*options):
    return ["/lab/monitor", "--no-compose", "--no-generator", "--json", "--images", "/lab/images", *options]


def monitor(*options):
    """To its end: its cycles, and what it said besides."""
    result = subprocess.run(command("--server", "http://127.0.0.1:9", *options), capture_output=True,
                            timeout=PATIENCE_S, cwd="/lab", check=False)
    if result.returncode:
        raise AssertionError(f"monitor: status {result.returncode}: {result.stderr.decode()}")
    return [json.loads(line) for line in result.stdout.splitlines()], result.stderr.decode()


class Monitor:
    """One that runs, and all that it has said."""

    def __init__(self, *options):
        self.process = subprocess.Popen(command(*options), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        cwd="/lab")
        self.out, self.err = [], []
        self.open = 2
        self.changed = threading.Condition()
        self.threads = [threading.Thread(target=self.read, args=pair, daemon=True) for pair in (
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

    def cycles(self):
        return [json.loads(line) for line in self.out]

    def wait_for(self, found, what):
        with self.changed:
            self.changed.wait_for(lambda: found() or not self.open, PATIENCE_S)
            result = found()
            if not result:
                raise AssertionError(f"{what}; it said: " + b"".join(self.out[-2:] + self.err[-5:]).decode())
            return result

    def wait_cycle(self, good, what):
        return self.wait_for(lambda: next((c for c in self.cycles() if good(c)), None), what)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE_S)
        for thread in self.threads:
            thread.join()
        if status:
            raise AssertionError(f"monitor: status {status}: " + b"".join(self.err).decode())


def records(spool):
    """Those that wait for a log server."""
    found = []
    for name in sorted(os.listdir(spool)):
        if name.endswith(".json") and name[0] == "0":
            with open(f"{spool}/{name}") as file:
                found += json.load(file)
    return found
