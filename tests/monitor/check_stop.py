#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Nothing outside holds the monitor: while each kind of call hangs, cycles go on, a request to
disarm is heard, and SIGTERM ends it within two seconds. Then what it writes to a reader that
stalls or is gone, and the control socket. Prints TAP, and the latencies as a table.
Usage: check_stop.py [NAME]..."""

import contextlib
import ctypes
import fcntl
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import termios
import threading
import time

sys.dont_write_bytecode = True
from stand import (MONITOR, NOTHING_KEPT, PATIENCE_S, Disk, equal, inspected, preload, rules,
                   run_tests, true, wait_until)

PROTECTED = {"Labels": {"sysinfo.protect": "true"}}
END_S = 2.0
DISARM_S = 1.0
# Filled in by the tests, printed at the end: what hangs, ms until disarmed, ms until ended.
latencies = []


def ask(stand, request):
    """By the control socket, as `monitor status` does, but without a process to start."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_S)
        client.connect(stand.spool + "/control.sock")
        client.sendall(request.encode() + b"\n")
        text = b""
        while not text.endswith(b"\n"):
            more = client.recv(65536)
            true(more, f"no answer to {request}")
            text += more
    return json.loads(text)


def timed(what):
    begin = time.monotonic()
    what()
    return (time.monotonic() - begin) * 1e3


def stop_while(stand, monitor, name, goes_on=True):
    """Cycles go on; disarming is heard; the end comes in time."""
    if goes_on:
        begun = ask(stand, "status")["cycle"]
        end = time.monotonic() + PATIENCE_S
        while ask(stand, "status")["cycle"] < begun + 2:
            true(time.monotonic() < end, f"{name}: no cycle")
            time.sleep(0.05)
    disarmed = timed(lambda: equal(ask(stand, "disarm")["mode"], "disarmed", name))
    ended = timed(lambda: monitor.end(0, signal.SIGTERM))
    latencies.append((name, disarmed, ended))
    true(disarmed < DISARM_S * 1e3, f"{name}: disarmed after {disarmed:.0f} ms")
    true(ended < END_S * 1e3, f"{name}: ended after {ended:.0f} ms")


# --- What may hang -------------------------------------------------------------------

def test_list(stand):
    victim = stand.container(1)
    stand.engine.on_list = lambda _: "hang"
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    monitor.wait_cycle(lambda c: rules(c), "a cycle")
    stop_while(stand, monitor, "GET /containers/json")
    true(victim.lives(), "nobody knows it: it stays")


def test_inspect(stand):
    victim = stand.container(1)
    hung = threading.Event()
    stand.engine.on_inspect = lambda _: hung.set() or "hang"
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    true(hung.wait(PATIENCE_S), "it is asked")
    stop_while(stand, monitor, "GET /containers/ID/json")
    true(victim.lives(), "it is not confirmed: it stays")


def hanging_post(stand, part, policy="no"):
    hung = threading.Event()
    victims = []

    def on_post(handler):
        if part in handler.path:
            hung.set()
            return "hang"
        return None

    victims.append(stand.container(1, command=("sh", "-c", "trap '' TERM; exec sleep 1000")))
    stand.engine.on_inspect = lambda handler: victims[0].id in handler.path and (
        200, json.dumps(inspected(victims[0], policy)).encode())
    stand.engine.on_post = on_post
    return victims[0], hung


def test_update(stand):
    victim, hung = hanging_post(stand, "/update", "always")
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    true(hung.wait(PATIENCE_S), "it is asked")
    stop_while(stand, monitor, "POST /containers/ID/update")


def test_stop_signal(stand):
    victim, hung = hanging_post(stand, "/kill?")
    monitor = stand.monitor("--json", "--grace", "30", *NOTHING_KEPT)
    true(hung.wait(PATIENCE_S), "it is asked")
    stop_while(stand, monitor, "POST /containers/ID/kill")
    true(victim.lives(), "it was not killed")


def other_dies(stand, monitor):
    """A removal that hangs holds up no other kill."""
    other = stand.container(7, listed={"Image": "other"})
    begin = time.monotonic()
    other.child.wait(PATIENCE_S)
    took = time.monotonic() - begin
    # It is new in the first cycle, and judged in the second.
    true(took < 4, f"another one died after {took:.1f} s")


def test_wait(stand):
    _, hung = hanging_post(stand, "/wait?")
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    true(hung.wait(PATIENCE_S), "it is asked")
    other_dies(stand, monitor)
    stop_while(stand, monitor, "POST /containers/ID/wait")


def test_delete(stand):
    victim = stand.container(1)
    stand.engine.on_delete = lambda handler: victim.id in handler.path and "hang"
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    stand.engine.wait_seen("DELETE")
    other_dies(stand, monitor)
    stop_while(stand, monitor, "DELETE /containers/ID")


def test_removal_that_never_ends(stand):
    victim = stand.container(1)
    hung = threading.Event()
    stand.engine.on_delete = lambda handler: victim.id in handler.path and (
        409, b'{"message":"removal of container is already in progress"}')
    stand.engine.on_post = lambda handler: "condition=removed" in handler.path and (hung.set() or "hang")
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    true(hung.wait(PATIENCE_S), "it is waited for")
    other_dies(stand, monitor)
    stop_while(stand, monitor, "a removal in progress")


def test_events(stand):
    lives = stand.container(1)
    hung = threading.Event()
    stand.engine.on_events = lambda _: hung.set() or "hang"
    monitor = stand.monitor("--json", "--keep-low", "9")
    monitor.wait_cycle(lambda c: rules(c), "a cycle")
    lives.child.kill()
    true(hung.wait(PATIENCE_S), "it is asked")
    stop_while(stand, monitor, "GET /events")


def script(stand, name, text):
    path = stand.path("bin/" + name)
    with open(path, "w") as file:
        file.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)


def wait_file(path):
    end = time.monotonic() + PATIENCE_S
    while not os.path.exists(path):
        true(time.monotonic() < end, f"no {path}")
        time.sleep(0.01)


def hang_script(stand, name):
    """One that says that it hangs, for no longer than the test."""
    script(stand, name, f"echo $$ >>{stand.path('hangs')}\nexec sleep 60\n")

    def end():
        with open(stand.path("hangs")) as file:
            for pid in file.read().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)

    stand.closing.callback(lambda: os.path.exists(stand.path("hangs")) and end())


def test_crontab_at_the_start(stand):
    os.makedirs(stand.path("compose"))
    script(stand, "../compose/generate", "exit 0\n")
    hang_script(stand, "crontab")
    victim = stand.container(1)
    monitor = stand.monitor("--json", *NOTHING_KEPT, generator=True)
    wait_file(stand.path("hangs"))
    victim.child.wait(PATIENCE_S)
    stop_while(stand, monitor, "crontab at the start")


def test_crontab_at_the_end(stand):
    os.makedirs(stand.path("compose"))
    script(stand, "../compose/generate", "exit 0\n")
    stand.container(1)
    monitor = stand.monitor("--json", "--keep-low", "9", generator=True)
    end = time.monotonic() + PATIENCE_S
    while not os.path.exists(stand.crontab) or "generate" not in open(stand.crontab).read():
        true(time.monotonic() < end, "no entry")
        time.sleep(0.01)
    hang_script(stand, "crontab")
    stop_while(stand, monitor, "crontab at the end")
    true("as soon as it does" in monitor.text(), monitor.text()[-500:])


def test_folder_of_the_generator(stand):
    """On a file system whose server does not answer."""
    where = stand.path("compose")
    os.makedirs(where)
    fuse = os.open("/dev/fuse", os.O_RDWR)
    stand.closing.callback(os.close, fuse)
    options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0"
    equal(ctypes.CDLL(None).mount(b"hangs", where.encode(), b"fuse", 0, options.encode()), 0, "mount")
    stand.closing.callback(subprocess.run, ["umount", "--lazy", where], check=True)
    victim = stand.container(1)
    monitor = stand.monitor("--json", *NOTHING_KEPT, generator=True)
    victim.child.wait(PATIENCE_S)
    stop_while(stand, monitor, "the generator's folder")


def test_compose(stand):
    os.makedirs(stand.path("compose"))
    script(stand, "docker", "exit 1\n")
    hang_script(stand, "docker-compose")
    victim = stand.container(1)
    monitor = stand.monitor("--json", "--compose", *NOTHING_KEPT)
    wait_file(stand.path("hangs"))
    victim.child.wait(PATIENCE_S)
    stop_while(stand, monitor, "docker-compose")


def test_log_server(stand):
    server = stand.fake_log_server(lambda *_: "hang")
    victim = stand.container(1)
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    server.wait_posts(1)
    victim.child.wait(PATIENCE_S)
    stop_while(stand, monitor, "POST to the log server")


def test_graphs(stand):
    """It takes all records, and then hangs while it draws: the pictures come later, or never."""
    def reply(number, path, records):
        if not number:
            return "hang"
        return 200, json.dumps({"received": True, "stored": len(records), "duplicates": 0}).encode()

    server = stand.fake_log_server(reply)
    stand.container(1)
    monitor = stand.monitor("--json", "--keep-low", "9")
    server.wait_posts(2)
    stop_while(stand, monitor, "the log server's graphs")
    true("being drawn still" in monitor.text(), monitor.text()[-500:])


RESOLVER = r"""
#include <netdb.h>
#include <poll.h>
#include <stddef.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res)
{
	(void)node;
	(void)service;
	(void)hints;
	(void)res;
	poll(NULL, 0, 60000);
	return EAI_AGAIN;
}
"""


def test_resolver(stand):
    stand.server = "http://log-server.example:8000"
    victim = stand.container(1)
    monitor = stand.monitor("--json", *NOTHING_KEPT, env={"LD_PRELOAD": preload(stand, RESOLVER)})
    monitor.wait_line(rb"is not known here")
    victim.child.wait(PATIENCE_S)
    stop_while(stand, monitor, "the resolver")


HOLD = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

/* While the file HOLD exists no fsync() returns. */
int fsync(int fd)
{
	int (*real)(int) = dlsym(RTLD_NEXT, "fsync");

	while (!access(getenv("HOLD"), F_OK))
		poll(NULL, 0, 10);
	return real(fd);
}
"""


def test_fsync(stand):
    stand.container(1)
    hold = stand.path("hold")
    monitor = stand.monitor("--json", "--keep-low", "9", env={"LD_PRELOAD": preload(stand, HOLD), "HOLD": hold})
    monitor.wait_cycle(lambda c: rules(c), "a cycle")
    open(hold, "w").close()
    begun = monitor.last_cycle()
    monitor.wait_cycle(lambda c: True, "cycles go on", begun + 2)
    monitor.process.send_signal(signal.SIGUSR1)
    disarmed = timed(lambda: monitor.wait_line(rb"^monitor: disarmed"))
    ended = timed(lambda: monitor.end(0, signal.SIGTERM))
    os.unlink(hold)
    latencies.append(("fsync of the spool", disarmed, ended))
    true(disarmed < DISARM_S * 1e3 and ended < END_S * 1e3, f"disarmed {disarmed:.0f} ms, ended {ended:.0f} ms")


# --- Output ------------------------------------------------------------------------------

def start_on(stand, out, *options, err=subprocess.PIPE):
    stand.module.write()
    process = subprocess.Popen([MONITOR, *stand.options(), "--no-generator", "--json", *options],
                               env=stand.environment(), cwd=stand.dir, stdin=subprocess.DEVNULL,
                               stdout=out, stderr=err)
    stand.closing.callback(lambda: process.poll() is None and (process.kill(), process.wait()))
    return process


def file_text(file):
    return os.pread(file.fileno(), 1 << 20, 0)


def ends_in_time(process, name, status=0):
    begin = time.monotonic()
    process.send_signal(signal.SIGTERM)
    equal(process.wait(PATIENCE_S), status, name)
    took = (time.monotonic() - begin) * 1e3
    latencies.append((name, None, took))
    true(took < END_S * 1e3, f"{name}: ended after {took:.0f} ms")


def test_full_pipe(stand):
    """It goes on killing; what nobody reads is counted, and told to a reader who is back."""
    many = [stand.container(n, listed={"Image": f"i{n}"}) for n in range(1, 31)]
    innocent = stand.container(99, listed=PROTECTED)
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    process = start_on(stand, writer, "--keep-low", "30")
    os.close(writer)
    end = time.monotonic() + 200
    # A report of 30 containers has 15 kB: 1 MiB waits for the reader before one is lost.
    late = stand.container(50, listed={"Image": "late"})
    late_or_many = [late, *many]
    while all(c.lives() for c in late_or_many):
        true(time.monotonic() < end, "nobody dies")
        time.sleep(0.05)
    equal(sum(not c.lives() for c in late_or_many), 1, "how many died")
    true(innocent.lives(), "the innocent lives")
    flags = fcntl.fcntl(reader, fcntl.F_GETFL)
    equal(flags & os.O_NONBLOCK, 0, "the pipe's own flags")
    ends_in_time(process, "stdout is a full pipe")
    os.close(reader)


def test_file_on_a_disk_that_hangs(stand):
    """Its lines wait in a process of their own; kills go on, and SIGTERM ends it."""
    victim = stand.container(1)
    stand.engine.on_list = lambda _: (200, b"[]")
    with Disk(stand) as disk, open(disk.where + "/out", "w+b", buffering=0) as out:
        process = start_on(stand, out, *NOTHING_KEPT)
        wait_until(lambda: b'"containers"' in file_text(out), "a report is in the file")
        disk.freeze()
        stand.engine.on_list = lambda _: None
        wait_until(lambda: not victim.lives(), "it kills all the same")
        begun = ask(stand, "status")["cycle"]
        wait_until(lambda: ask(stand, "status")["cycle"] > begun + 1, "the report of that is printed")
        ends_in_time(process, "stdout is a file on a disk that hangs")
        disk.freeze(False)
        wait_until(lambda: b'"killed":1' in file_text(out), "what was printed is in the file")


def test_log_and_spool_on_a_disk_that_hangs(stand):
    """What the end waits for adds up, and is within the two seconds all the same."""
    stand.container(1)
    stand.engine.on_list = lambda _: (200, b"[]")
    with Disk(stand) as disk, open(disk.where + "/out", "w+b", buffering=0) as out:
        stand.spool = disk.where + "/spool"
        process = start_on(stand, out, "--record", disk.where + "/recording", *NOTHING_KEPT, err=out)
        wait_until(lambda: b'"containers"' in file_text(out), "a report is in the file")
        disk.freeze()
        stand.engine.on_list = lambda _: None
        begun = ask(stand, "status")["cycle"]
        wait_until(lambda: ask(stand, "status")["cycle"] > begun + 1, "cycles go on")
        ends_in_time(process, "log, recording and spool on a disk that hangs")


def test_file_without_room(stand):
    """The loss is told by the exit status; what fits is in the file."""
    with Disk(stand) as disk, open(disk.where + "/out", "w+b", buffering=0) as out:
        with open(disk.where + "/filler", "wb", buffering=0) as filler:
            for size in (1 << 20, 1024):
                with contextlib.suppress(OSError):
                    while filler.write(bytes(size)):
                        pass
        process = start_on(stand, out, "--cycles", "1")
        equal(process.wait(PATIENCE_S), 1, "exit status")


def test_one_file_for_both(stand):
    """As in `monitor >log 2>&1`: whole lines, and all of them by the end."""
    with open(stand.path("log"), "w+b") as out:
        equal(start_on(stand, out, "--cycles", "2", err=out).wait(PATIENCE_S), 0, "exit status")
        lines = file_text(out).decode().splitlines()
    true(sum(line.startswith('{"timestamp"') for line in lines) == 2 and
         any(line.startswith("monitor: watching") for line in lines), lines)


def test_stopped_terminal(stand):
    victim = stand.container(1)
    master, slave = pty.openpty()
    termios.tcflow(slave, termios.TCOOFF)
    process = start_on(stand, slave, *NOTHING_KEPT)
    victim.child.wait(PATIENCE_S)
    ends_in_time(process, "stdout is a stopped terminal")
    termios.tcflow(slave, termios.TCOON)
    os.close(slave)
    os.close(master)


def test_stderr_is_full(stand):
    victim = stand.container(1)
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    process = start_on(stand, subprocess.DEVNULL, *NOTHING_KEPT, err=writer)
    os.close(writer)
    victim.child.wait(PATIENCE_S)
    ends_in_time(process, "stderr is a full pipe")
    os.close(reader)


def test_reader_is_gone(stand):
    """`monitor | head -1`: whoever kills unseen ends, says why, and not with 0."""
    first = stand.container(1)
    reader, writer = os.pipe()
    process = start_on(stand, writer, "--keep-low", "1")
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
    equal(process.wait(PATIENCE_S), 1, "status")
    text = process.stderr.read().decode()
    true("nobody reads standard output any more" in text, text)
    true(first.lives(), "the innocent lives")


def test_dev_full(stand):
    """What can't be written is no success."""
    stand.container(1)
    recording = stand.path("recording")
    stand.monitor("--json", "--cycles", "1", "--record", recording, "--keep-low", "9").end(0)
    for words in (["--help"], ["--version"], ["--check-config"], ["replay", recording], ["explain", recording],
                  ["explain", *stand.options(), "--no-generator"],
                  [*stand.options(), "--no-generator", "--cycles", "1", "--keep-low", "9"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([MONITOR, *words], stdout=full, stderr=subprocess.PIPE, env=stand.environment(),
                                  cwd=stand.dir, timeout=PATIENCE_S, check=False)
        equal(done.returncode, 1, f"status of {words[0]}")
        true(b"standard output could not be written" in done.stderr, f"{words[0]}: {done.stderr}")


def test_closed_descriptors(stand):
    """Started with none of the three: no file of its own gets into their places."""
    server = stand.log_server()
    victim = stand.container(1)
    stand.module.write()
    equal(subprocess.run(["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', MONITOR, *stand.options(), "--no-generator",
                          "--json", "--cycles", "1", *NOTHING_KEPT], env=stand.environment(), cwd=stand.dir,
                         timeout=PATIENCE_S, check=False).returncode, 0, "status")
    equal([r["container_id"] for r in server.records("logs")], [victim.id], "records")


# --- The control socket ---------------------------------------------------------------------

def test_idle_clients(stand):
    """All places are taken by clients that say nothing, or read nothing: root is heard."""
    stand.container(1)
    monitor = stand.monitor("--json", "--keep-low", "9")
    monitor.wait_cycle(lambda c: True, "a cycle")
    idle = []
    # As another user, so that they may lose their places to root at once.
    code = ("import os, socket, sys, time\n"
            "many = [socket.socket(socket.AF_UNIX) for _ in range(200)]\n"
            "for one in many:\n    one.setblocking(False)\n"
            "    try:\n        one.connect(sys.argv[1]); one.send(b'sta')\n    except OSError:\n        pass\n"
            "print('connected', flush=True)\ntime.sleep(60)\n")
    os.chmod(stand.spool, 0o711)
    os.chmod(stand.spool + "/control.sock", 0o666)
    squatter = subprocess.Popen(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable,
                                 "-c", code, stand.spool + "/control.sock"], stdout=subprocess.PIPE)
    idle.append(squatter)
    stand.closing.callback(lambda: (squatter.kill(), squatter.wait(), squatter.stdout.close()))
    equal(squatter.stdout.readline(), b"connected\n", "the others")
    stop_while(stand, monitor, "200 idle clients of the control socket")


def test_who_may_ask(stand):
    """Root, and a group that is set; nobody else. The group passes through the spool, and sees
    nothing of it."""
    stand.container(1)
    monitor = stand.monitor("--json", "--keep-low", "9", "--control-group", "nogroup")
    monitor.wait_cycle(lambda c: True, "a cycle")
    member = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    stranger = ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups"]
    os.chmod(stand.dir, 0o755)
    program = stand.path("monitor")
    subprocess.run(["cp", MONITOR, program], check=True)
    status, out, _ = stand.run("disarm", "--spool", stand.spool, wrap=member, program=program)
    equal((status, out), (0, "disarmed: by hand (control socket)\n"), "a member")
    status, _, err = stand.run("arm", "--spool", stand.spool, wrap=stranger, program=program)
    equal(status, 1, "a stranger")
    true("run it as root, or as one of its control-group" in err, err)
    equal(ask(stand, "status")["mode"], "disarmed", "the mode")
    equal(subprocess.run([*member, "ls", stand.spool], capture_output=True, check=False).returncode != 0, True,
          "a member lists the spool")
    monitor.end(0, signal.SIGTERM)
    status, _, err = stand.run(*stand.options(), "--no-generator", "--control-group", "no-such-group")
    equal(status, 2, "a group that is not there")
    true("there is no group no-such-group" in err, err)


def test_nonsense(stand):
    """Refused, closed, and nothing has changed."""
    stand.container(1)
    monitor = stand.monitor("--json", "--keep-low", "9")
    monitor.wait_cycle(lambda c: True, "a cycle")
    for words in (b"\n", b"arm \n", b"ARM\n", b"arm\0\n", b"x" * 500, b"status\0disarm\n", b"disarm"):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_S)
            client.connect(stand.spool + "/control.sock")
            client.sendall(words)
            client.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                answer = client.recv(4096)
                true(not answer or b"error" in answer, (words, answer))
    equal(ask(stand, "status")["mode"], "armed", "the mode")
    monitor.end(0, signal.SIGTERM)


def test_disarm_is_the_last_of_what_waits(stand):
    """Nobody can tell which of two waiting signals was sent first: it stops."""
    for signals in ((signal.SIGUSR1, signal.SIGUSR2), (signal.SIGUSR2, signal.SIGUSR1)):
        monitor = stand.monitor("--json", "--keep-low", "9")
        monitor.wait_cycle(lambda c: "containers" in c, "it runs")
        monitor.process.send_signal(signal.SIGSTOP)
        for number in signals:
            monitor.process.send_signal(number)
        monitor.process.send_signal(signal.SIGCONT)
        monitor.wait_cycle(lambda c: c["mode"] == "disarmed", "disarmed")
        equal(ask(stand, "arm")["mode"], "armed", "by hand again")
        monitor.end(0, signal.SIGTERM)


def test_places_are_not_kept_by_those_who_wait(stand):
    """More clients than places, and root is answered."""
    monitor = stand.monitor("--json", "--keep-low", "9")
    monitor.wait_cycle(lambda c: "containers" in c, "it runs")
    with contextlib.ExitStack() as clients:
        for _ in range(300):
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(stand.spool + "/control.sock")
            client.send(b"status")
        equal(ask(stand, "status")["mode"], "armed", "an answer")
    monitor.end(0, signal.SIGTERM)


def test_control_socket_of_another(stand):
    """A monitor that runs keeps its socket, whoever else names the same path."""
    shared = stand.path("control.sock")
    first = stand.monitor("--json", "--keep-low", "9", "--control", shared)
    first.wait_cycle(lambda c: "containers" in c, "it runs")
    status, _, err = stand.run(*stand.options(), "--no-generator", "--dry-run", "--cycles", "1",
                               "--spool", stand.path("other"), "--control", shared)
    true(status == 0 and f"no control socket at {shared}" in err, err)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(shared)
        client.sendall(b"status\n")
        true(client.recv(1000), "the first one answers")
    first.end(0, signal.SIGTERM)
    true(not os.path.exists(shared), "its own socket is removed")


def test_control_path_is_a_file(stand):
    """It is left alone, and there is no control socket, which is said."""
    path = stand.path("precious")
    with open(path, "w") as file:
        file.write("kept")
    status, _, err = stand.run(*stand.options(), "--no-generator", "--dry-run", "--cycles", "1", "--control", path)
    true(status == 0 and f"no control socket at {path}: File exists" in err, err)
    with open(path) as file:
        equal(file.read(), "kept", "the file")


def test_half_closed(stand):
    """A client that has said all that it wants, and shuts its half, is answered."""
    stand.container(1)
    monitor = stand.monitor("--json", "--keep-low", "9")
    monitor.wait_cycle(lambda c: True, "a cycle")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_S)
        client.connect(stand.spool + "/control.sock")
        client.sendall(b"disarm\n")
        client.shutdown(socket.SHUT_WR)
        equal(json.loads(client.recv(65536))["mode"], "disarmed", "the answer")
    monitor.end(0, signal.SIGTERM)


def test_a_second_line_is_not_read(stand):
    """One request a connection."""
    stand.container(1)
    monitor = stand.monitor("--json", "--keep-low", "9")
    monitor.wait_cycle(lambda c: True, "a cycle")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_S)
        client.connect(stand.spool + "/control.sock")
        client.sendall(b"status\ndisarm\n")
        equal(json.loads(client.recv(65536).splitlines()[0])["mode"], "armed", "the answer")
    equal(ask(stand, "status")["mode"], "armed", "the mode")
    monitor.end(0, signal.SIGTERM)


def print_latencies():
    print("# | what hangs | disarmed after, ms | SIGTERM to the end, ms |")
    print("# |---|---:|---:|")
    for name, disarmed, ended in latencies:
        print(f"# | {name} | {'-' if disarmed is None else f'{disarmed:.0f}'} | {ended:.0f} |")


if __name__ == "__main__":
    status = run_tests(globals())
    print_latencies()
    sys.exit(status)
