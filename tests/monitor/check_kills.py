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
import time

sys.dont_write_bytecode = True
from stand import (HERE, MONITOR, NOTHING_KEPT, PATIENCE_S, Container, equal, rules, run_tests, true)

FAULTS = os.path.join(HERE, "../../build/faults/monitor")
PROTECTED = {"Labels": {"sysinfo.protect": "true"}}
DEAF = ("sh", "-c", "trap '' TERM; exec sleep 1000")


def outcome(cycle, container):
    return next(c["outcome"] for c in cycle["containers"] if c["id"] == container.id)


def of(records, container):
    return [r for r in records if r["container_id"] == container.id]


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
        true(outcome(cycle, victim).startswith("killed and verified: cgroup.kill; no witness; populated 0"),
             cycle)
        (record,) = of(server.records("logs"), victim)
        equal((record["action"], record["verified"], record["signal"], record["outcome"]),
              ("killed", True, signal.SIGKILL, "killed and verified"), record)
        true("let go by the runtime after" in record["evidence"], record)
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
        return 200, json.dumps({"Config": {"StopSignal": name}}).encode()

    def on_post(handler):
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
    true("stop signal" not in outcome(cycle, untold), cycle)
    equal(["signal" in r for c in (obeys, deaf, untold) for r in of(server.records("logs"), c)],
          [False, False, True], "a signal is only claimed where there was no other")


def test_called_off_between_two_parts(stand):
    """A plan that is too large for one act: what comes later is asked for anew."""
    server = stand.log_server()
    victims = [stand.container(n, listed={"Image": f"image-{n}"}) for n in range(131)]
    told = []

    def once(_):
        if not told:
            told.append(monitor.process.send_signal(signal.SIGUSR1))

    stand.engine.on_delete = once
    monitor = stand.monitor("--json", "--kills-per-cycle", "200", *NOTHING_KEPT)
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a cycle")
    equal((cycle["surplus"], cycle["killed"], cycle["mode"]), (131, 128, "disarmed"), "surplus, killed, mode")
    left = [v for v in victims if v.lives()]
    equal(len(left), 3, "how many live")
    monitor.end(0, signal.SIGTERM)
    records = server.records("logs")
    equal(sorted(r["action"] for r in records), ["killed"] * 128 + ["survived"] * 3, "records")
    for victim in left:
        evidence = of(records, victim)[0]["evidence"]
        true(evidence.startswith("not tried; ") and "called off" in evidence, evidence)
    equal(len(stand.engine.seen("DELETE")), 128, "removals")


def test_stop_signal_that_is_none(stand):
    """An image may name anything; it doesn't get into a request."""
    victim = stand.container(1)
    stand.engine.on_inspect = lambda _: (200, b'{"Config":{"StopSignal":"9 HTTP/1.1\\r\\nX: y"}}')
    stand.engine.on_post = lambda _: victim.child.kill() or (204, b"")
    stand.monitor("--json", "--cycles", "1", "--grace", "1", *NOTHING_KEPT).end(0)
    equal(stand.engine.seen("POST"), [f"/containers/{victim.id}/kill?signal=SIGTERM"], "requests")


def test_frozen(stand):
    """It can't hear a signal, and isn't waited for; cgroup.kill reaches it."""
    server = stand.log_server()
    innocent, victim = stand.container(1, listed=PROTECTED), stand.container(2)
    for container in (innocent, victim):
        with open(container.group + "/cgroup.freeze", "w") as file:
            file.write("1")
    stand.engine.on_inspect = lambda _: (200, b"{}")
    monitor = stand.monitor("--json", "--cycles", "1", "--grace", "20", *NOTHING_KEPT).end(0)
    true(outcome(monitor.cycles()[0], victim).startswith("killed and verified: frozen; cgroup.kill"),
         monitor.cycles())
    equal((victim.lives(), innocent.lives()), (False, True), "lives")
    true(of(server.records("logs"), victim)[0]["kill_latency_ms"] < 5000, "no grace")


def test_without_the_right_to_cgroup_kill(stand):
    """A plain user's kill is the runtime's."""
    innocent, victim = stand.container(1, listed=PROTECTED), stand.container(2, bound=("cgroup.events", "cpu.stat"))
    os.unlink(victim.folder + "/cgroup.kill")
    stand.engine.on_delete = lambda _: victim.child.kill()
    monitor = stand.monitor("--json", "--cycles", "1", *NOTHING_KEPT).end(0)
    true(outcome(monitor.cycles()[0], victim).startswith("killed and verified"), monitor.cycles())
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
    monitor.wait_cycle(lambda c: rules(c) == {victim.id: "told to die, not dead yet"}, "it is waited for",
                       cycle["cycle"])
    equal(len(stand.engine.seen("DELETE")), 1, "it is not told again")
    equal(server.records("logs"), [], "nothing is claimed yet")
    victim.child.kill()
    dies(victim)
    monitor.wait_cycle(lambda c: "containers" in c and not rules(c), "it is gone", cycle["cycle"])
    monitor.end(0, signal.SIGTERM)
    equal([(r["action"], r["verified"]) for r in server.records("logs")], [("killed", True)], "record")


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
          ("told to die, not dead yet", False, True, True), "who lives")
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
    """The runtime took so long to list them that the snapshot is of an interval ago."""
    victim = stand.container(1)
    stand.engine.on_list = lambda _: stand.engine.ended.wait(1.2) and None
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    cycle = monitor.wait_cycle(lambda c: "the plan is refused" in c.get("trouble", ""), "it is refused")
    equal((cycle["surplus"], cycle["killed"], victim.lives()), (1, 0, True), "surplus, killed, lives")
    equal(outcome(cycle, victim), "surplus, not removed", "outcome")
    equal((stand.engine.seen("DELETE"), os.listdir(stand.spool).count("intent.json")), ([], 0), "removals, intents")
    stand.engine.on_list = lambda _: None
    monitor.wait_cycle(lambda c: c.get("killed"), "a new plan is carried out", cycle["cycle"])
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
    true(outcome(monitor.cycles()[0], victim).startswith("killed and verified"), monitor.cycles())
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
        true(outcome(cycle, container).startswith("killed, unverified: cgroup.kill"), cycle)
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
    true(outcome(cycle, back).startswith("killed and verified"), cycle)
    equal(sorted((r["container_id"], r["action"], r["verified"]) for r in server.records("logs")),
          sorted([(first.id, "killed", False), (again.id, "killed", False), (again.id, "killed", True)]), "records")


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

BEFORE = ("planned", "intended", "held")
AMID = ("first-killed",)
AFTER = ("all-killed", "seen-empty", "removed", "concluded", "recorded", "closed")


def age_intents(stand):
    """As if it had been an hour ago: what lives by now has survived."""
    path = stand.spool + "/intent.json"
    if os.path.exists(path):
        with open(path) as file:
            intents = json.load(file)
        for intent in intents:
            intent["intended_ms"] -= 3_600_000
        with open(path, "w") as file:
            json.dump(intents, file)


def killed_at(stand, step, again=None):
    server = stand.log_server()
    innocent = stand.container(1, listed=PROTECTED)
    victims = [stand.container(n) for n in (2, 3, 4)]
    stand.engine.on_inspect = lambda _: (200, b"{}")
    options = ("--json", "--cycles", "2", *NOTHING_KEPT)
    stand.monitor(*options, program=FAULTS, env={"MONITOR_FAULT": step}).end(-signal.SIGKILL)
    expected = 0 if step in BEFORE else 1 if step in AMID else 3
    wait_deaths(victims, expected)
    dead = sum(not v.lives() for v in victims)
    equal(dead, expected, f"{step}: dead")
    if again:
        age_intents(stand)
        stand.monitor(*options, program=FAULTS, env={"MONITOR_FAULT": again}).end(-signal.SIGKILL)
    age_intents(stand)
    stand.monitor(*options).end(0)
    records = server.records("logs")
    true(innocent.lives() and not of(records, innocent), f"{step}: the innocent lives")
    for victim in victims:
        true(not victim.lives(), f"{step}: the victim is dead")
        actions = sorted(r["action"] for r in of(records, victim))
        # Those that lived when the new monitor looked had survived the first.
        true(actions == ["killed"] or (dead < 3 and set(actions) == {"killed", "survived"} and
                                       actions.count("killed") == 1), f"{step}: records {actions}")
        forced = [p for p in stand.engine.seen("DELETE") if victim.id in p and "force=true" in p]
        true(len(forced) <= 1, f"{step}: killed by the runtime {len(forced)} times")
    equal(sorted(os.listdir(stand.spool)), ["lock"], f"{step}: what is left in the spool")


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
    """Which tells the outcome, but removes nothing that has ended."""
    server = stand.log_server()
    victim = stand.container(1)
    stand.monitor("--json", *NOTHING_KEPT, program=FAULTS,
                  env={"MONITOR_FAULT": "all-killed"}).end(-signal.SIGKILL)
    dies(victim)
    stand.monitor("--json", "--dry-run", "--cycles", "1", *NOTHING_KEPT).end(0)
    equal([(r["container_id"], r["outcome"]) for r in server.records("logs")],
          [(victim.id, "killed, unverified")], "records")
    equal(stand.engine.seen("DELETE"), [], "removed")


def test_killed_again_while_it_recovers(stand):
    killed_at(stand, "all-killed", "recorded")


def test_killed_in_the_grace(stand):
    """The stop signal is sent, and then there is no one to count the time: the next start
    finds it dead or alive, and no more is claimed than that."""
    server = stand.log_server()
    obeys, deaf = stand.container(1), stand.container(2, command=DEAF)
    by_id = {c.id: c for c in (obeys, deaf)}
    stand.engine.on_inspect = lambda _: (200, b"{}")
    stand.engine.on_post = lambda handler: by_id[handler.path.split("/")[2]].child.terminate() or (204, b"")
    stand.monitor("--json", "--grace", "9", *NOTHING_KEPT, program=FAULTS,
                  env={"MONITOR_FAULT": "stop-sent"}).end(-signal.SIGKILL)
    dies(obeys)
    age_intents(stand)
    stand.monitor("--json", "--cycles", "1").end(0)
    equal([(r["container_id"], r["action"], r["verified"]) for r in server.records("logs")],
          [(obeys.id, "killed", False), (deaf.id, "survived", False)], "records")
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
