#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Kills, natively: who dies, who lives, what is claimed of it, and what becomes of it when
the monitor is killed at any step. Prints TAP. Usage: check_kills.py [NAME]..."""

import contextlib
import ctypes
import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
from stand import (FAULTS, MONITOR, NOTHING_KEPT, PATIENCE_S, Container, actions_of, equal, inspected, of, outcome,
                   rules, run_tests, stopped, true, wait_until)

PROTECTED = {"Labels": {"sysinfo.protect": "true"}}
DEAF = ("sh", "-c", "trap '' TERM; exec sleep 1000")


KILLED = "killed, not verified"


def dies(container):
    container.child.wait(PATIENCE_S)


def wait_deaths(containers, count):
    """Until so many of them are dead: SIGKILL takes its moment."""
    poll = select.poll()
    with contextlib.ExitStack() as stack:
        for container in containers:
            try:
                fd = os.pidfd_open(container.child.pid)
            except ProcessLookupError:
                count -= 1
                continue
            stack.callback(os.close, fd)
            poll.register(fd, select.POLLIN)
        while count > 0:
            died = poll.poll(PATIENCE_S * 1000)
            true(died, f"{count} more deaths")
            for fd, _ in died:
                poll.unregister(fd)
                count -= 1


# --- The act ---------------------------------------------------------------------

def test_receipt(stand):
    """By cgroup.kill, all at once, with what lives below a container's own cgroup."""
    server = stand.log_server()
    innocent = stand.container(1, listed=PROTECTED)
    victims = [stand.container(n) for n in (2, 3, 4)]
    nested = f"{victims[0].group}/a/b"
    os.makedirs(nested)
    below = subprocess.Popen(["sleep", "1000"])
    with open(nested + "/cgroup.procs", "w") as file:
        file.write(str(below.pid))
    # As the kernel takes a group away with its files.
    stand.engine.on_delete = lambda handler: os.unlink(
        f"{stand.groups.root}/docker/{handler.path.split('/')[2].partition('?')[0]}/memory.current")
    monitor = stand.monitor("--json", "--cycles", "1", *NOTHING_KEPT).end(0)
    equal(below.wait(PATIENCE_S), -signal.SIGKILL, "what lived below dies too")
    os.rmdir(nested)
    os.rmdir(victims[0].group + "/a")
    cycle = monitor.cycles()[0]
    true(0 <= cycle["dead_ms"] <= cycle["clean_ms"], cycle)
    true(innocent.lives(), "the innocent lives")
    for victim in victims:
        true(outcome(cycle, victim).startswith(
            "killed, not verified: cgroup.kill; no witness; populated right before, empty after"), cycle)
        (record,) = of(server.records("logs"), victim)
        # Without a witness nobody saw by whose hand they died: only that they did.
        equal((record["action"], record["verified"], record["seen_by"], record["signal"], record["outcome"]),
              ("killed", False, "cgroup", signal.SIGKILL, "killed, not verified"), record)
        true("removed by the runtime after" in record["evidence"], record)
        equal(record["memory_freed"], 1 << 20, "bytes that came back, of the one that its folder told")
    equal(len(server.records("logs")), 3, "records")


def test_grace(stand):
    """One ends at its own stop signal, one is deaf and is killed when its time is up, one
    can't be told by the runtime and is killed at once; all in parallel."""
    server = stand.log_server()
    innocent = stand.container(1, listed=PROTECTED)
    obeys, deaf, untold = (stand.container(2, command=("sh", "-c", "trap 'exit 3' USR1; while :; do sleep 0.1; done")),
                           stand.container(3, command=DEAF), stand.container(4))
    asked = []

    def on_inspect(handler):
        name = "SIGRTMIN+3" if deaf.id in handler.path else "SIGUSR1"
        return 200, json.dumps({**inspected(deaf if deaf.id in handler.path else
                                            untold if untold.id in handler.path else obeys),
                                "Config": {"StopSignal": name}}).encode()

    def on_post(handler):
        if "/wait?" in handler.path:
            return None
        asked.append(re.fullmatch(r"/containers/([^/]*)/kill\?signal=(\S+)", handler.path).groups())
        if untold.id in handler.path:
            return 500, b'{"message":"no"}'
        (obeys if obeys.id in handler.path else deaf).child.send_signal(
            signal.SIGUSR1 if obeys.id in handler.path else signal.SIGTERM)
        return 204, b""

    stand.engine.on_inspect, stand.engine.on_post = on_inspect, on_post
    monitor = stand.monitor("--json", "--cycles", "1", "--grace", "2", "--interval", "3",
                            *NOTHING_KEPT).end(0)
    cycle = monitor.cycles()[0]
    equal(sorted(asked), [(obeys.id, "SIGUSR1"), (deaf.id, "SIGRTMIN%2B3"), (untold.id, "SIGUSR1")], "signals")
    equal([obeys.child.wait(), deaf.child.wait(), untold.child.wait(), innocent.lives()],
          [3, -signal.SIGKILL, -signal.SIGKILL, True], "ends")
    latency = {c.id: of(server.records("logs"), c)[0]["kill_latency_ms"] for c in (obeys, deaf, untold)}
    true(latency[obeys.id] < 1900 and latency[untold.id] < 1900 <= latency[deaf.id] < 3500, latency)
    true("stop signal sent, no cgroup.kill" in outcome(cycle, obeys), cycle)
    true("stop signal sent, cgroup.kill" in outcome(cycle, deaf), cycle)
    true("stop signal sent" not in outcome(cycle, untold), cycle)
    equal(["signal" in r for c in (obeys, deaf, untold) for r in of(server.records("logs"), c)],
          [False, False, True], "a signal is only claimed where there was no other")


def test_called_off_between_two_batches(stand):
    """A plan that is too large for one batch: what comes later is asked for again."""
    server = stand.log_server()
    victims = [stand.container(n, listed={"Image": f"image-{n}"}) for n in range(131)]
    told = []
    lock = threading.Lock()

    def on_post(_):
        with lock:
            if not told:
                told.append(monitor.process.send_signal(signal.SIGUSR1))

    stand.engine.on_post = on_post
    monitor = stand.monitor("--json", "--kills-per-cycle", "200", "--interval", "5", *NOTHING_KEPT)
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a cycle")
    equal((cycle["surplus"], cycle["killed"], cycle["mode"]), (131, 128, "disarmed"), "surplus, killed, mode")
    left = [v for v in victims if v.lives()]
    equal(len(left), 3, "how many live")
    for victim in left:
        equal(outcome(cycle, victim), "survived: not touched; called off", victim.id)
    monitor.end(0, signal.SIGTERM)
    records = server.records("logs")
    equal(sorted(r["action"] for r in records), ["killed"] * 128, "records: of what was intended, and no more")
    equal([of(records, victim) for victim in left], [[], [], []], "records of those that live")
    equal(stand.engine.seen("DELETE"), [], "what was called off is not removed either")


def test_stop_signal_that_is_none(stand):
    """An image may name anything; it doesn't get into a request."""
    victim = stand.container(1)
    stand.engine.on_inspect = lambda _: (200, json.dumps({
        **inspected(victim), "Config": {"StopSignal": "9 HTTP/1.1\r\nX: y"}}).encode())
    stand.engine.on_post = lambda _: victim.child.kill() or (204, b"")
    stand.monitor("--json", "--cycles", "1", "--grace", "1", *NOTHING_KEPT).end(0)
    equal([path for path in stand.engine.seen("POST") if "/wait?" not in path],
          [f"/containers/{victim.id}/kill?signal=SIGTERM"], "requests")


def freeze(container, yes=True):
    with open(container.group + "/cgroup.freeze", "w") as file:
        file.write("1" if yes else "0")
    with open(container.group + "/cgroup.events") as file:
        wait_until(lambda: (file.seek(0), f"frozen {int(yes)}" in file.read())[1], "it is frozen, or not any more")


def test_frozen(stand):
    """One that is paused stays, whoever has paused it, and whatever the runtime says."""
    server = stand.log_server()
    paused, victim = stand.container(1), stand.container(2)
    freeze(paused)
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    cycle = monitor.wait_cycle(lambda c: c.get("killed"), "the other one is killed")
    equal(rules(cycle)[paused.id], "paused, restarting or being removed", "rule")
    equal((paused.lives(), victim.lives()), (True, False), "lives")
    freeze(paused, False)
    monitor.wait_cycle(lambda c: c.get("killed"), "thawed it is a victim like any other", cycle["cycle"])
    monitor.end(0, signal.SIGTERM)
    equal([r["action"] for r in server.records("logs")], ["killed"] * 2, "records")


def test_frozen_between_decision_and_kill(stand):
    """Paused after it was judged: the last look finds it, and it is recorded as spared."""
    server = stand.log_server()
    paused, victim = stand.container(1), stand.container(2)

    def on_inspect(handler):
        if paused.id in handler.path:
            freeze(paused)

    stand.engine.on_inspect = on_inspect
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a plan")
    monitor.end(0, signal.SIGTERM)
    equal(outcome(cycle, paused), "survived: not touched; paused meanwhile", "outcome")
    equal((paused.lives(), victim.lives()), (True, False), "lives")
    (record,) = of(server.records("logs"), paused)
    equal((record["action"], record["evidence"]), ("survived", "not touched; paused meanwhile"), "record")


def test_doubt_of_the_runtime(stand):
    """Asked once more for each victim: what it does not confirm stays, and has no record."""
    server = stand.log_server()
    said = {
        "paused": lambda c: (200, json.dumps(inspected(c, Paused=True)).encode()),
        "restarting": lambda c: (200, json.dumps(inspected(c, Restarting=True)).encode()),
        "ended": lambda c: (200, json.dumps(inspected(c, Running=False)).encode()),
        "protected": lambda c: (200, json.dumps(inspected(c, Labels={"sysinfo.protect": "yes"})).encode()),
        "another's": lambda c: (200, json.dumps({**inspected(c), "Id": "f" * 64}).encode()),
        "main process elsewhere": lambda c: (200, json.dumps(inspected(c, Pid=1)).encode()),
        "not known": lambda _: (404, b"{}"),
        "nothing": lambda _: (200, b"{}"),
        "no state": lambda c: (200, json.dumps({"Id": c.id, "State": {}}).encode()),
        "broken": lambda _: (200, b"[{]"),
        "in trouble": lambda _: (500, b"{}"),
        "gone": lambda _: "close",
    }
    doubted = {stand.container(n).id: answer for n, answer in enumerate(said.values(), 1)}
    victim = stand.container(99)
    by_id = {c.id: c for c, _ in stand.engine.containers}
    stand.engine.on_inspect = lambda handler: (
        lambda wanted: wanted in doubted and doubted[wanted](by_id[wanted]))(handler.path.split("/")[2])
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a plan")
    monitor.end(0, signal.SIGTERM)
    for wanted in doubted:
        true(outcome(cycle, by_id[wanted]).startswith("survived: not touched; "), outcome(cycle, by_id[wanted]))
        true(by_id[wanted].lives(), "it lives")
    true(not victim.lives(), "the one that is confirmed dies")
    equal([r["container_id"] for r in server.records("logs")], [victim.id], "records")
    equal([p for p in stand.engine.seen("DELETE") if victim.id not in p], [], "removals")


def test_without_the_right_to_cgroup_kill(stand):
    """A plain user's kill is the runtime's."""
    innocent, victim = stand.container(1, listed=PROTECTED), stand.container(2, bound=("cgroup.events", "cpu.stat"))
    os.unlink(victim.folder + "/cgroup.kill")
    stand.engine.on_delete = lambda _: victim.child.kill()
    monitor = stand.monitor("--json", "--cycles", "1", *NOTHING_KEPT).end(0)
    true(outcome(monitor.cycles()[0], victim).startswith(KILLED), monitor.cycles())
    equal((victim.lives(), innocent.lives()), (False, True), "lives")


def test_runtime_that_lies(stand):
    """It says that the container is removed, and its processes live: that is no kill."""
    server = stand.log_server()
    victim = stand.container(1, bound=("cgroup.events", "cpu.stat"))
    os.unlink(victim.folder + "/cgroup.kill")
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a cycle with surplus")
    true(outcome(cycle, victim).startswith("told to die, not dead yet"), cycle)
    equal(cycle["killed"], 0, "killed")
    monitor.wait_cycle(lambda c: rules(c) == {victim.id: "its kill is not over yet"}, "it is waited for",
                       cycle["cycle"])
    equal(len(stand.engine.seen("DELETE")), 1, "it is not told again")
    equal(server.records("logs"), [], "nothing is claimed yet")
    victim.child.kill()
    dies(victim)
    monitor.wait_cycle(lambda c: "containers" in c and not rules(c), "it is gone", cycle["cycle"])
    monitor.end(0, signal.SIGTERM)
    equal([(r["action"], r["verified"], r["seen_by"]) for r in server.records("logs")],
          [("killed", False, "runtime")], "record")


def test_uninterruptible(stand):
    """One that sits in the kernel, in a write to a file system that is frozen, dies when it
    gets out; until then it holds up nobody else, and it is recorded once."""
    server = stand.log_server()
    where, image = stand.path("fs"), stand.path("fs.img")
    os.mkdir(where)
    with open(image, "wb") as file:
        file.truncate(4 << 20)
    subprocess.run(["mke2fs", "-q", "-F", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, where], check=True)
    stand.closing.callback(subprocess.run, ["umount", "--lazy", where], check=True)
    subprocess.run(["fsfreeze", "--freeze", where], check=True)
    innocent = stand.container(2, listed=PROTECTED)
    # Whatever happens, it is thawed before its end is waited for.
    thaw = stand.closing.enter_context(ThawOnce(where))
    stuck = stand.container(1, command=("touch", where + "/file"))
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a cycle with surplus")
    true(outcome(cycle, stuck).startswith("told to die, not dead yet: cgroup.kill"), cycle)
    other = stand.container(3)
    cycle = monitor.wait_cycle(lambda c: c.get("killed"), "another one is killed", cycle["cycle"])
    equal((rules(cycle)[stuck.id], other.lives(), stuck.lives(), innocent.lives()),
          ("its kill is not over yet", False, True, True), "who lives")
    thaw.now()
    dies(stuck)
    monitor.wait_cycle(lambda c: stuck.id not in rules(c), "it is gone", cycle["cycle"])
    monitor.end(0, signal.SIGTERM)
    equal([r["action"] for r in of(server.records("logs"), stuck)], ["killed"], "records")


class ThawOnce:
    def __init__(self, where):
        self.where = where

    def now(self):
        if self.where:
            subprocess.run(["fsfreeze", "--unfreeze", self.where], check=True)
        self.where = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.now()


def test_old_plan_is_refused(stand):
    """It took so long to confirm it that the snapshot is of an interval ago."""
    victim = stand.container(1)
    monitor = stand.monitor("--json", *NOTHING_KEPT, program=FAULTS, env={"MONITOR_PAUSE": "confirmed"})
    stopped(monitor)
    time.sleep(1.2)
    monitor.process.send_signal(signal.SIGCONT)
    cycle = monitor.wait_cycle(lambda c: "the plan is refused" in c.get("trouble", ""), "it is refused")
    first = monitor.wait_cycle(lambda c: c.get("surplus"), "its own cycle")
    equal((first["killed"], outcome(first, victim)), (0, "surplus, not removed"), "killed, outcome")
    monitor.wait_cycle(lambda c: c.get("killed"), "a new plan is carried out", first["cycle"])
    true(cycle["cycle"] >= first["cycle"], "it tells so")
    monitor.end(0, signal.SIGTERM)


# --- Who it is -------------------------------------------------------------------

def fork_as(pid, command):
    """A child of this very pid: clone3() with set_tid."""
    tid = ctypes.c_int(pid)
    args = struct.pack("11Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, ctypes.addressof(tid), 1, 0)
    # Not CDLL, which would let go of the interpreter around the call.
    child = ctypes.PyDLL(None, use_errno=True).syscall(435, args, len(args))
    if child == 0:
        try:
            os.execvp(command[0], command)
        finally:
            os._exit(127)
    equal(child, pid, f"the child's pid ({os.strerror(ctypes.get_errno())})")


def test_pid_reuse(stand):
    """The pid that stands for the victim becomes an innocent's between decision and act."""
    victim, innocent = stand.container(1), stand.container(2, listed=PROTECTED)
    pid = victim.child.pid
    second = subprocess.Popen(["sleep", "1000"])
    with open(victim.group + "/cgroup.procs", "w") as file:
        file.write(str(second.pid))
    # The snapshot goes on naming the first, as a moment ago.
    victim.lives = lambda: True

    def on_list(_):
        if len(stand.engine.seen("GET")) == 2:
            victim.child.kill()
            victim.child.wait()
            fork_as(pid, ["sleep", "1000"])
            with open(innocent.group + "/cgroup.procs", "w") as file:
                file.write(str(pid))

    stand.engine.on_list = on_list
    monitor = stand.monitor("--json", "--cycles", "1", *NOTHING_KEPT).end(0)
    equal(second.wait(PATIENCE_S), -signal.SIGKILL, "the victim's other process")
    true(outcome(monitor.cycles()[0], victim).startswith(KILLED), monitor.cycles())
    with open(innocent.group + "/cgroup.procs") as file:
        true(str(pid) in file.read().split(), "the pid's new process lives")
    true(innocent.lives(), "the innocent lives")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_strangers_in_the_log_servers_clothes(stand):
    """The log server is who stands in its door; only while nobody does, its label counts."""
    port = stand.nobody.getsockname()[1]
    door = {"IP": "127.0.0.1", "PrivatePort": 8000, "PublicPort": port, "Type": "tcp"}
    label = {"Labels": {"sysinfo.role": "logserver"}}
    real = stand.container(1, listed={"Ports": [{"PrivatePort": 9}, door]})
    dressed = stand.container(2, listed=label)
    elsewhere = stand.container(3, listed={"Ports": [{**door, "IP": "127.0.0.2"}]})
    other_port = stand.container(4, listed={"Ports": [{**door, "PublicPort": port - 1}], **label})
    monitor = stand.monitor("--json", "--cycles", "1", *NOTHING_KEPT).end(0)
    equal(rules(monitor.cycles()[0])[real.id], "the log server", "rule")
    equal([c.lives() for c in (real, dressed, elsewhere, other_port)], [True, False, False, False], "lives")

    # At all addresses is at this one, too.
    stand.engine.containers[0] = (real, {"Ports": [{**door, "IP": "0.0.0.0"}]})
    monitor = stand.monitor("--json", "--cycles", "1", *NOTHING_KEPT).end(0)
    equal(rules(monitor.cycles()[0]), {real.id: "the log server"}, "rules")
    # It is being started, or is in the host's network: then who wears the label stays.
    stand.engine.containers[0] = (real, label)
    second, naked = stand.container(5, listed=label), stand.container(6)
    # The same port of another protocol is another door.
    udp = stand.container(7, listed={"Ports": [{**door, "IP": "0.0.0.0", "Type": "udp"}]})
    monitor = stand.monitor("--json", "--cycles", "1", *NOTHING_KEPT).end(0)
    equal([rules(monitor.cycles()[0])[c.id] for c in (real, second)], ["the log server"] * 2, "rules")
    equal([c.lives() for c in (real, second, naked, udp)], [True, True, False, False], "lives")


def test_monitor_in_a_container_that_hides_it(stand):
    """By its cgroup it is known, though the snapshot has another process there."""
    other = stand.container(1)
    hides = stand.container(2)
    top = os.path.dirname(stand.cgroup_root) + "/docker"
    os.makedirs(f"{top}/{hides.id}/below", exist_ok=True)
    try:
        script = f'echo $$ >{top}/{hides.id}/below/cgroup.procs && exec "$@"'
        monitor = stand.monitor("--json", "--cycles", "1", *NOTHING_KEPT,
                                wrap=("sh", "-c", script, "sh")).end(0)
    finally:
        for folder in (f"{top}/{hides.id}/below", f"{top}/{hides.id}"):
            os.rmdir(folder)
        # Others on this machine may use it.
        with contextlib.suppress(OSError):
            os.rmdir(top)
    equal(rules(monitor.cycles()[0])[hides.id], "the monitor runs in it", "rule")
    equal((hides.lives(), other.lives()), (True, False), "lives")


def test_runtime_restarts_in_the_middle(stand):
    """It goes away while it is asked to remove them, and is back with one of them running
    again, under its id: the instance that was killed is dead and recorded, and the new one
    is a container like any other."""
    server = stand.log_server()
    first, again = stand.container(1), stand.container(2)

    def on_delete(_):
        stand.engine.on_list = lambda _: "close"
        return "close"

    stand.engine.on_delete = on_delete
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a cycle with surplus")
    for container in (first, again):
        true(outcome(cycle, container).startswith(KILLED + ": cgroup.kill"), cycle)
    monitor.wait_cycle(lambda c: "no list from the runtime" in c.get("trouble", ""), "it is away")
    back = Container(2)
    os.rename(again.folder, again.folder + ".old")
    os.rmdir(again.group)
    stand.groups.folders.remove(again.group)
    stand.groups.add(back)
    stand.module.containers.append(back)
    stand.engine.containers = [(back, {})]
    stand.engine.on_list = stand.engine.on_delete = lambda _: None
    cycle = monitor.wait_cycle(lambda c: c.get("killed") and back.id in rules(c), "the new one is judged anew",
                               cycle["cycle"])
    monitor.end(0, signal.SIGTERM)
    true(outcome(cycle, back).startswith(KILLED), cycle)
    equal(sorted((r["container_id"], r["action"], r["verified"]) for r in server.records("logs")),
          sorted([(first.id, "killed", False), (again.id, "killed", False), (again.id, "killed", False)]), "records")


# --- Who comes back --------------------------------------------------------------

def test_comes_back_again_and_again(stand):
    """Somebody makes it anew, under its name. After so many kills it stays, which is said;
    one of another name still dies."""
    server = stand.log_server()
    listed = {"Names": ["/phoenix"], "Image": "nest"}
    birds = [stand.container(1, listed=listed)]
    monitor = stand.monitor("--json", *NOTHING_KEPT, "--give-up", "2")
    for number in (2, 3):
        dies(birds[-1])
        birds.append(stand.container(number, listed=listed))
    cycle = monitor.wait_cycle(lambda c: rules(c).get(birds[2].id, "").startswith("comes back"), "it stays")
    true("killed 2 times within an hour" in outcome(cycle, birds[2]), cycle)
    other = stand.container(9)
    cycle = monitor.wait_cycle(lambda c: c.get("killed") and other.id in rules(c), "another", cycle["cycle"])
    monitor.end(0, signal.SIGTERM)
    equal([b.lives() for b in birds] + [other.lives()], [False, False, True, False], "lives")
    equal(sorted(r["container_id"] for r in server.records("logs")),
          sorted(c.id for c in (*birds[:2], other)), "records")


# --- Who died of something else --------------------------------------------------

def test_causes_of_death(stand):
    """Without a witness the runtime tells; of what it does not tell, nobody knows."""
    server = stand.log_server()
    by_oom, by_exit, by_stop, by_stranger, untold = (stand.container(n) for n in range(1, 6))
    lives = stand.container(6)

    def on_events(handler):
        since, until = (float(re.search(word + r"=([0-9.]+)", handler.path)[1]) for word in ("since", "until"))
        true(time.time() - 10 < since < until <= time.time(), handler.path)
        return 200, b"".join(json.dumps({
            "Type": "container", "Action": action, "Actor": {"ID": c.id, "Attributes": attributes}}).encode() + b"\n"
            for c, action, attributes in (
                (by_oom, "oom", {}), (by_oom, "die", {"exitCode": "137"}), (by_exit, "die", {"exitCode": "3"}),
                (by_stop, "kill", {"signal": "15"}), (by_stop, "die", {"exitCode": "143"}),
                (by_stranger, "die", {"exitCode": "137"})))

    stand.engine.on_events = on_events
    monitor = stand.monitor("--json", "--keep-low", "100")
    monitor.wait_cycle(lambda c: len(rules(c)) == 6, "all are seen")
    for container in (by_oom, by_exit, by_stop, by_stranger, untold):
        container.child.kill()
        dies(container)

    def died(count):
        return monitor.wait_for(lambda: (lambda found: len(found) == count and found)(
            {d["id"]: d for c in monitor.cycles() for d in c.get("died", [])}), f"{count} ends are told")

    told = died(5)
    monitor.end(0, signal.SIGTERM)
    equal({c: (told[c.id]["cause"], told[c.id].get("signal"), told[c.id].get("exit_code"))
           for c in (by_oom, by_exit, by_stop, by_stranger, untold)},
          {by_oom: ("oom", 9, None), by_exit: ("exit", None, 3), by_stop: ("signal", 15, None),
           by_stranger: ("signal", 9, None), untold: ("unknown", None, None)}, "causes")
    true("asked to send" in told[by_stop.id]["text"] and "not sent by the runtime" in told[by_stranger.id]["text"],
         told)
    equal(sorted((r["container_id"], r["action"], r["cause"]) for r in server.records("logs")),
          sorted((i, "died", d["cause"]) for i, d in told.items()), "records")
    true(lives.lives(), "the innocent lives")


def test_own_kills_are_no_news(stand):
    """Who has a receipt is not told of as one that died."""
    victim, other = stand.container(1), stand.container(2, listed=PROTECTED)
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    cycle = monitor.wait_cycle(lambda c: c.get("killed"), "it is killed")
    monitor.wait_cycle(lambda c: victim.id not in rules(c) and c["cycle"] > cycle["cycle"] + 4, "five cycles later")
    monitor.end(0, signal.SIGTERM)
    equal([c["died"] for c in monitor.cycles() if c.get("died")], [], "deaths told")
    true(other.lives(), "the innocent lives")


# --- Killed in the middle --------------------------------------------------------

BEFORE = ("planned", "intended", "policy-off", "held")
AMID = ("first-killed",)
AFTER = ("all-killed", "seen-empty", "removed", "concluded", "durable", "recorded", "closed")
NOT_DURABLE = ("all-killed", "seen-empty", "removed", "concluded")


def killed_at(stand, step, again=None):
    """The monitor is ended at a step, and perhaps once more while it settles. Whatever the
    step: who was alive is judged again, each intent has exactly one outcome, none has two
    contents, and nobody claims to have killed what nobody saw."""
    server = stand.log_server()
    innocent = stand.container(1, listed=PROTECTED)
    victims = [stand.container(n) for n in (2, 3, 4)]
    options = ("--json", "--cycles", "2", *NOTHING_KEPT)
    stand.monitor(*options, program=FAULTS, env={"MONITOR_FAULT": step}).end(-signal.SIGKILL)
    expected = 0 if step in BEFORE else 1 if step in AMID else 3
    wait_deaths(victims, expected)
    dead = [v for v in victims if not v.lives()]
    equal(len(dead), expected, f"{step}: dead")
    asked = len(stand.engine.seen("DELETE"))
    if again:
        stand.monitor(*options, program=FAULTS, env={"MONITOR_FAULT": again}).end(-signal.SIGKILL)
    stand.monitor(*options).end(0)
    records = server.records("logs")
    true(innocent.lives() and not of(records, innocent), f"{step}: the innocent lives")
    for victim in victims:
        true(not victim.lives(), f"{step}: the victim is dead")
        actions = actions_of(records, victim)
        if victim not in dead:
            equal(actions, ["killed"] if step == "planned" else ["killed", "survived"], f"{step}: records")
        elif step in NOT_DURABLE or step in AMID:
            equal(actions, ["unknown"], f"{step}: records")
        else:
            true(actions in (["killed"], ["unknown"]), f"{step}: records {actions}")
        forced = [p for p in stand.engine.seen("DELETE") if victim.id in p and "force=true" in p]
        equal(forced, [], f"{step}: killed by the runtime")
    if step in ("durable", "recorded"):
        true(any(actions_of(records, v) == ["killed"] for v in dead), f"{step}: what was durable is told")
    if step == "closed":
        equal([actions_of(records, v) for v in dead], [["killed"]] * 3, f"{step}: records")
    equal([p for p in stand.engine.seen("DELETE")[asked:] if any(v.id in p for v in dead)], [],
          f"{step}: an earlier monitor's dead are left alone")
    ids = [r["event_id"] for r in records]
    equal(len(ids), len(set(ids)), f"{step}: one content for each event")
    equal(stand.waiting("refused-") + stand.waiting("0"), [], f"{step}: records that wait or were refused")


def test_killed_before_the_act_policy_off(stand):
    killed_at(stand, "policy-off")


def test_killed_when_durable(stand):
    killed_at(stand, "durable")


def test_killed_before_the_act_planned(stand):
    killed_at(stand, "planned")


def test_killed_before_the_act_intended(stand):
    killed_at(stand, "intended")


def test_killed_before_the_act_held(stand):
    killed_at(stand, "held")


def test_killed_between_two_victims(stand):
    killed_at(stand, "first-killed")


def test_killed_after_the_kill(stand):
    killed_at(stand, "all-killed")


def test_killed_when_seen_empty(stand):
    killed_at(stand, "seen-empty")


def test_killed_when_removed(stand):
    killed_at(stand, "removed")


def test_killed_when_concluded(stand):
    killed_at(stand, "concluded")


def test_killed_when_recorded(stand):
    killed_at(stand, "recorded")


def test_killed_when_closed(stand):
    killed_at(stand, "closed")


def test_killed_and_looked_at_in_a_dry_run(stand):
    """A dry run has a spool of its own: what was intended is left to the next real one."""
    server = stand.log_server()
    victim = stand.container(1)
    stand.monitor("--json", *NOTHING_KEPT, program=FAULTS,
                  env={"MONITOR_FAULT": "all-killed"}).end(-signal.SIGKILL)
    dies(victim)
    stand.monitor("--json", "--dry-run", "--cycles", "1", *NOTHING_KEPT).end(0)
    equal(server.records("logs"), [], "records after the dry run")
    stand.monitor("--json", "--cycles", "1", *NOTHING_KEPT).end(0)
    equal([(r["container_id"], r["outcome"]) for r in server.records("logs")],
          [(victim.id, "unknown")], "records")
    equal(stand.engine.seen("DELETE"), [], "removed")


def test_killed_again_while_it_recovers(stand):
    killed_at(stand, "all-killed", "recorded")


def test_killed_in_the_grace(stand):
    """The stop signal is sent, and then there is no one to count the time: the next start
    waits until the grace is over, finds it dead or alive, and claims no more than that."""
    server = stand.log_server()
    obeys, deaf = stand.container(1), stand.container(2, command=DEAF)
    by_id = {c.id: c for c in (obeys, deaf)}
    stand.engine.on_post = lambda handler: "/wait?" not in handler.path and (
        by_id[handler.path.split("/")[2]].child.terminate() or (204, b""))
    stand.monitor("--json", "--grace", "2", "--interval", "3", *NOTHING_KEPT, program=FAULTS,
                  env={"MONITOR_FAULT": "stop-sent"}).end(-signal.SIGKILL)
    dies(obeys)
    monitor = stand.monitor("--json")
    cycle = monitor.wait_cycle(lambda c: any(s["id"] == deaf.id for s in c.get("settled", [])),
                               "the grace is over")
    equal([(s["id"], s["outcome"]) for s in cycle["settled"]], [(deaf.id, "survived")], "settled")
    monitor.end(0, signal.SIGTERM)
    records = server.records("logs")
    equal([(r["action"], r["verified"]) for r in of(records, deaf)], [("survived", False)], "record of the deaf")
    # Its end, and even its record, may have come before the other's signal was sent.
    true([r["action"] for r in of(records, obeys)] in (["unknown"], ["killed"]), of(records, obeys))
    true(deaf.lives(), "within the quota now, it lives")


def test_no_test_code_in_the_product(_):
    with open(MONITOR, "rb") as file:
        product = file.read()
    with open(FAULTS, "rb") as file:
        true(b"MONITOR_FAULT" in file.read(), "the build for tests has it")
    for word in (b"MONITOR_FAULT", b"first-killed"):
        true(word not in product, f"{word} is in the product")


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
