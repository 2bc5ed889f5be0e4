#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The monitor, natively: bad input, trouble around it, and what it may never do. The
module and the container runtime are played by the test; cgroups, processes and the log
server are real. Prints TAP. Usage: check_monitor.py [NAME]...
Wants root, for the cgroups and a mount namespace of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zlib

sys.dont_write_bytecode = True
from stand import (MONITOR, NOTHING_KEPT, PATIENCE_S, TAKEN, Container, Disk, boottime_us, container_id, equal,
                   inspected, nothing_removed, one_line, rules, run_tests, true, wait_until)


def open_intents(stand):
    """Of the newest slot that is whole: one may be read while it is written."""
    slots = []
    for name in ("intent.json", "intent.2.json"):
        with open(f"{stand.spool}/{name}", "rb") as file:
            head, _, rest = file.read().partition(b"\n")
        found = re.fullmatch(rb"sysinfo-intents 1 (\d+) ([0-9a-f]{8}) (\d+)", head)
        text = rest[:int(found[3])] if found else b""
        if found and zlib.crc32(found[1] + b" " + found[3] + b"\n" + text) == int(found[2], 16):
            slots.append((int(found[1]), text))
    return json.loads(max(slots)[1]) if slots else []


def nothing_left(stand, what="what is left in the spool"):
    """No record that waits, was refused or is half written, and no kill without an outcome."""
    equal(sorted(os.listdir(stand.spool)), ["armed", "intent.2.json", "intent.json", "lock", "version"], what)
    equal(open_intents(stand), [], what + ": intents")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def disk_process(monitor):
    """The child that writes the spool."""
    for child in children(monitor.process.pid):
        with open(f"/proc/{child}/comm") as file:
            if file.read() == "monitor-disk\n":
                return child
    raise AssertionError("there is no process for the disk")


# Ctrl-C and a service manager's stop take two seconds at most; and one for this machine.
END_S = 3

# --- Options and configuration -------------------------------------------------

def test_bad_options(stand):
    for words, said in (
            (["--colour"], "--colour"), (["--interval"], "--interval"), (["extra"], "extra"),
            (["--interval", "0"], "interval"), (["--interval", "3601"], "interval"),
            (["--interval", "1.5"], "interval"), (["--interval", ""], "interval"),
            (["--interval", "9" * 30], "interval"), (["--keep-high", "-1"], "keep-high"),
            (["--keep-low", "many"], "keep-low"), (["--classifier", "luck"], "classifier"),
            (["--bpf", "--no-bpf"], "--bpf and --no-bpf"), (["--no-bpf", "--bpf"], "--no-bpf"),
            (["--server", ""], "server"), (["--spool", "/x" * 3000], "spool"),
            (["--cycles", "x"], "cycles"), (["--high-cpu", "100001"], "high-cpu"),
            (["--config", "/nowhere/at/all"], "/nowhere/at/all"), (["--no-bpf=1"], "no-bpf"),
            (["--\x1b[31m"], "\\x1b")):
        one_line(stand.run(*words), 2, said)


def test_bad_configuration(stand):
    path = stand.path("bad.conf")
    for text, line, said in (
            ("interval = 10\ncolour = red\n", 2, "colour"), ("interval = often\n", 1, "often"),
            ("# fine\n\nkeep-high = -1\n", 3, "keep-high"), ("keep_low 3\n", 1, "key = value"),
            ("[monitor]\ninterval = 1\n", 2, "monitor"), ("cycles = 3\n", 1, "cycles"),
            ("config = other\n", 1, "config"), ("snapshot =\n", 1, "snapshot"),
            ("server = x\ninterval = 0\nkeep-low = x\n", 2, "interval")):
        with open(path, "w") as file:
            file.write(text)
        one_line(stand.run("--config", path), 2, f"{path}:{line}: ", said)
        one_line(stand.run("--config", path, "--check-config"), 2, f"{path}:{line}: ")


def test_configuration_that_is_a_folder(stand):
    one_line(stand.run("--config", stand.dir, "--check-config"), 2, stand.dir)


def test_options_win_over_the_configuration(stand):
    path = stand.path("good.conf")
    with open(path, "w") as file:
        file.write("; a comment\nsnapshot = /from/the/file\nkeep_high = 7\ninterval = 3600\n")
    equal(stand.run("--config", path, "--check-config"), (0, "configuration ok\n", ""), "check")
    equal(stand.run("--check-config"), (0, "configuration ok\n", ""), "check without a file")
    one_line(stand.run("--config", path), 3, "/from/the/file")
    one_line(stand.run("--snapshot", "/from/the/option", "--config", path), 3, "/from/the/option")
    one_line(stand.run("--check-config", "--interval", "0", "--config", path), 2, "interval")


def test_help_and_version(stand):
    status, out, err = stand.run("--help")
    equal((status, err), (0, ""), "--help")
    for word in ("--interval", "--keep-high", "--check-config", "sysinfo.protect", "Exit status"):
        true(word in out, f"{word} in the help")
    status, out, err = stand.run("--version")
    true(status == 0 and not err and re.fullmatch(r"monitor \d+\.\d+\.\d+\n", out), out)


# --- The start -----------------------------------------------------------------

def test_module_not_loaded(stand):
    one_line(stand.run("--snapshot", stand.path("missing")), 3, stand.path("missing"), "insmod")


def test_no_permission(stand):
    program = shutil.copy(MONITOR, stand.path("monitor"))
    stand.module.close()
    os.chmod(stand.module.path, 0o600)
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    one_line(stand.run("--snapshot", stand.module.path, wrap=nobody, program=program), 3,
             stand.module.path, "Permission denied", "root")


def bad_snapshots(module):
    """Name, content."""
    whole = json.dumps(module.document())
    process = Container(1).process(boottime_us())

    def changed(**changes):
        return json.dumps({**module.document(), **changes})

    return (
        ("empty", ""), ("cut", whole[:-1]), ("cut in a number", whole[:100]), ("no JSON", "hello"),
        ("NUL", whole[:50] + "\0" + whole[51:]), ("array", "[]"), ("null", "null"),
        ("deep", "[" * 100000), ("two documents", whole + whole), ("schema", changed(SchemaVersion=2)),
        ("no schema", changed(SchemaVersion=None)), ("negative", changed(FreeRAM=-1)),
        ("too large", changed(BootTimeUs=2 ** 60)), ("no integer", changed(Sequence=1.5)),
        ("text", changed(TotalRAM="much")), ("no processes", changed(Processes={})),
        ("process", changed(Processes=[7])), ("pid 0", changed(Processes=[{**process, "PID": 0}])),
        ("no id", changed(Processes=[{**process, "ContainerID": None}])),
        ("infinite", whole.replace("8388608", "1e999")),
    )


def test_unusable_snapshot_at_the_start(stand):
    for name, content in bad_snapshots(stand.module):
        stand.module.hold(content)
        try:
            one_line(stand.run(*stand.options(), "--no-generator"), 3, stand.module.path)
        except AssertionError as failure:
            raise AssertionError(f"{name}: {failure}") from None
    huge = stand.path("huge")
    with open(huge, "w") as file:
        file.truncate((128 << 20) + 1)
    one_line(stand.run("--snapshot", huge), 3, huge)
    one_line(stand.run("--snapshot", stand.dir), 3, stand.dir)
    equal(stand.engine.requests, [], "requests to the runtime")


def test_snapshot_that_never_answers(stand):
    """Somebody's pipe is not the module's file; waiting for its other end has no end."""
    os.mkfifo(stand.path("pipe"))
    one_line(stand.run("--snapshot", stand.path("pipe")), 3, stand.path("pipe"))


def test_no_runtime(stand):
    bad = stand.path("missing.sock")
    one_line(stand.run(*stand.options(), "--no-generator", "--runtime-socket", bad), 1, bad,
             "start Docker")


def test_no_cgroup_v2(stand):
    for bad, said in ((stand.dir, "not cgroup v2"), (stand.path("missing"), "No such file"),
                      (stand.module.path, "Not a directory")):
        one_line(stand.run(*stand.options(), "--no-generator", "--cgroup-root", bad), 1, bad, said)


def test_spool_in_use_or_unusable(stand):
    first = stand.monitor("--json")
    first.wait_cycle(lambda c: True, "a cycle")
    one_line(stand.run(*stand.options(), "--no-generator"), 1, "another monitor", stand.spool)
    # One that only looks has a spool of its own, and the next one does without.
    looks = stand.monitor("--json", "--dry-run")
    looks.wait_cycle(lambda c: True, "a cycle of a dry run")
    second = stand.monitor("--json", "--dry-run", "--cycles", "1").end(0)
    second.wait_line(rb"^monitor: another monitor runs here \(it holds \S+/dry-run/lock\)")
    second.wait_line(rb"^monitor: it goes on, and keeps no records$")
    looks.end(0, signal.SIGTERM)
    first.end(0, signal.SIGTERM)
    one_line(stand.run(*stand.options(), "--no-generator", "--spool", stand.module.path), 1,
             stand.module.path)
    one_line(stand.run(*stand.options(), "--no-generator", "--spool", "/proc/nowhere"), 1, "/proc/nowhere")


# --- The job -------------------------------------------------------------------

def test_keeps_the_quotas_and_removes_the_rest(stand):
    server = stand.log_server()
    keep = [stand.container(1, cpu=0.9), stand.container(2, cpu=0.8), stand.container(11),
            stand.container(12, memory_mib=2), stand.container(13, memory_mib=3),
            stand.container(20, cpu=0.95, listed={"Labels": {"sysinfo.protect": "true"}}),
            stand.container(21, cpu=0.95, listed={"Labels": {"sysinfo.role": "logserver"}}),
            stand.container(22, cpu=0.95, listed={"State": "paused"})]
    surplus = [stand.container(3, cpu=0.5), stand.container(4, memory_mib=200),
               stand.container(14, memory_mib=4), stand.container(15, memory_mib=5)]
    unknown = stand.container(30, cpu=0.99)
    stand.engine.containers.pop()
    intents = []
    all_are_dead = threading.Barrier(len(surplus))

    def on_post(_):
        # Before any of them has its outcome, after which it is taken out.
        intents.append(sorted(i["container_id"] for i in open_intents(stand)))
        all_are_dead.wait(PATIENCE_S)

    stand.engine.on_post = on_post
    monitor = stand.monitor("--json", "--cycles", "3").end(0)
    first, second, _ = monitor.cycles()
    equal(stand.engine.deleted(), sorted(c.id for c in surplus), "removed")
    equal([c.lives() for c in keep + [unknown]], [True] * 9, "the innocent live")
    equal([c.lives() for c in surplus], [False] * 4, "the surplus is dead")
    equal((first["surplus"], first["killed"], second["surplus"]), (4, 4, 0), "figures")
    equal(sorted({r for i, r in rules(second).items() if i in {c.id for c in keep[5:] + [unknown]}}),
          ["label sysinfo.protect=true", "not known to the runtime",
           "paused, restarting or being removed", "the log server"], "rules")
    equal(intents, [sorted(c.id for c in surplus)] * 4, "the intents were on disk before each removal")
    equal([path for path in stand.engine.seen("DELETE") if "force" in path], [], "forced removals")

    records = server.records("logs")
    equal(sorted(r["container_id"] for r in records), sorted(c.id for c in surplus), "records")
    for record in records:
        equal((record["action"], record["verified"], record["seen_by"], record["signal"]),
              ("killed", False, "cgroup", 9), record)
    equal(len(server.records("logsmemory")), 4, "memory samples: the first look and three cycles")
    nothing_left(stand)
    equal(sorted(os.listdir(stand.path("images"))), ["Memory.png", "Processes.png"], "graphs")


def test_unreadable_memory_means_keep(stand):
    """Real cgroups as they are; without a memory controller nothing can be judged."""
    containers = [stand.container(n, cpu=0.9) for n in range(4)]
    for container in containers:
        os.unlink(container.folder + "/memory.current")
    monitor = stand.monitor("--json", "--cycles", "2", *NOTHING_KEPT).end(0)
    for cycle in monitor.cycles():
        equal(set(rules(cycle).values()), {"memory.current is not readable"}, "rules")
    nothing_removed(stand)


def test_dry_run(stand):
    server = stand.log_server()
    victim = stand.container(1)
    monitor = stand.monitor("--dry-run", "--cycles", "3", *NOTHING_KEPT).end(0)
    true("would be killed" in monitor.text() and "dry run" in monitor.text(), monitor.text())
    nothing_removed(stand)
    # It is told once, not in each cycle, and as what it is.
    equal([(r["container_id"], r["action"], "verified" in r) for r in server.records("logs")],
          [(victim.id, "would_kill", False)], "records")
    # Where one that kills would look, there is nothing of it.
    equal(os.listdir(stand.spool), ["dry-run"], "the spool")


def test_rank(stand):
    for number in range(5):
        stand.container(number, cpu=0.01 * number)
    monitor = stand.monitor("--json", "--cycles", "1", "--classifier", "rank", "--keep-high", "1",
                            "--keep-low", "2").end(0)
    equal(stand.engine.deleted(), sorted(container_id(n) for n in (2, 3)), "removed")
    equal([c["class"] for c in monitor.cycles()[0]["containers"]], ["high"] * 2 + ["low"] * 3, "classes")


def test_never_itself_or_an_ancestor(stand):
    stand.container(1, cpu=0.9).fields["PID"] = os.getpid()
    other = stand.container(2, cpu=0.9)
    monitor = stand.monitor("--json", *NOTHING_KEPT, "--keep-high", "1")
    monitor.wait_cycle(lambda c: c["surplus"] == 0, "a cycle")
    other.fields["PID"] = monitor.process.pid
    cycle = monitor.wait_cycle(lambda c: list(rules(c).values()) == ["the monitor runs in it"] * 2,
                               "both stay")
    equal(cycle["surplus"], 0, "surplus")
    monitor.end(0, signal.SIGTERM)
    nothing_removed(stand)


def test_victim_changes_before_the_act(stand):
    """Between its judgement and the act one has ended, also after the runtime's word that it
    runs, and another's name is somebody else's."""
    server = stand.log_server()
    known, ended, replaced = (stand.container(n) for n in (1, 2, 3))

    def on_inspect(handler):
        # The answer is of a moment before.
        answer = 200, json.dumps(inspected(
            next(c for c in (known, ended, replaced) if c.id in handler.path))).encode()
        if known.id in handler.path:
            known.child.kill()
            known.child.wait()
            return None
        if ended.id in handler.path:
            ended.child.kill()
            ended.child.wait()
        else:
            os.rename(replaced.folder, replaced.folder + ".old")
            os.mkdir(replaced.folder)
            with open(replaced.folder + "/cgroup.events", "w") as file:
                file.write("populated 1\nfrozen 0\n")
        return answer

    stand.engine.on_inspect = on_inspect
    monitor = stand.monitor("--json", "--cycles", "1", *NOTHING_KEPT).end(0)
    cycle = monitor.cycles()[0]
    equal((cycle["surplus"], cycle["killed"]), (3, 0), "surplus and killed")
    outcome = {c["id"]: c["outcome"] for c in cycle["containers"]}
    # Of the first the runtime knows that it is gone, and so nothing was intended.
    for container in (known, ended, replaced):
        true(outcome[container.id].startswith("was already gone"), outcome)
    equal(stand.engine.seen("DELETE"), [], "removals")
    true(replaced.lives(), "the one that was renamed lives")
    equal({r["container_id"]: (r["action"], r["verified"], r["seen_by"], r["evidence"])
           for r in server.records("logs")},
          {ended.id: ("gone", False, "none", "its cgroup was empty before it was touched"),
           replaced.id: ("gone", False, "none", "another cgroup has its name now, before it was touched")},
          "records")
    nothing_left(stand)


# --- Trouble with the snapshot -------------------------------------------------

def test_bad_snapshot_while_running(stand):
    """Reported, nothing killed, goes on, recovers."""
    stand.engine.on_list = lambda _: (200, b"[]")
    victim = stand.container(1, cpu=0.9)
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    monitor.wait_cycle(lambda c: rules(c) == {victim.id: "not known to the runtime"}, "a good cycle")
    stand.module.hold("")
    stand.engine.on_list = lambda _: None
    seen = monitor.last_cycle()
    bad = bad_snapshots(stand.module)
    for name, content in [bad[0], bad[1], bad[9], bad[12]]:
        stand.module.hold(content)
        # The one after the next: the next may have begun already.
        cycle = monitor.wait_cycle(lambda c: True, name, monitor.last_cycle() + 1)
        true(stand.module.path in cycle.get("trouble", ""), f"{name}: {cycle}")
        true("containers" not in cycle, f"{name}: nothing is decided")
        nothing_removed(stand)
    true(monitor.last_cycle() > seen, "it goes on")
    stand.module.close()
    os.unlink(stand.module.path)
    cycle = monitor.wait_cycle(lambda c: "insmod" in c.get("trouble", ""), "module unloaded")
    stand.module.hold(None)
    nothing_removed(stand)
    # A snapshot that stays the same is no window either.
    monitor.wait_cycle(lambda c: "does not follow" in c.get("trouble", ""), "stale", cycle["cycle"])
    nothing_removed(stand)
    stand.module.resume()
    cycle = monitor.wait_cycle(lambda c: c.get("killed"), "it recovers", cycle["cycle"])
    equal(stand.engine.deleted(), [victim.id], "removed")
    monitor.end(0, signal.SIGTERM)


def test_module_loaded_anew(stand):
    victim = stand.container(1, cpu=0.9)
    stand.engine.on_list = lambda _: (200, b"[]")
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    monitor.wait_cycle(lambda c: rules(c), "a good cycle")
    stand.module.changes = {"Instance": "another"}
    cycle = monitor.wait_cycle(lambda c: "was the module loaded again?" in c.get("trouble", ""), "it is noticed")
    true("containers" not in cycle, "nothing is decided")
    monitor.wait_cycle(lambda c: victim.id in rules(c), "it goes on", cycle["cycle"])
    monitor.end(0, signal.SIGTERM)
    nothing_removed(stand)


def test_stale_snapshot_means_keep(stand):
    """It grows from look to look, but is not of now: an hour old, or of the future."""
    stand.container(1, cpu=0.9)
    # Half of what this machine has been up, where that is less than two hours.
    for shift_us in (-min(3_600_000_000, boottime_us() // 2), 3_600_000_000):
        stand.module.shift_us = shift_us
        monitor = stand.monitor("--json", *NOTHING_KEPT)
        monitor.wait_cycle(lambda c: c["cycle"] >= 3, "three cycles")
        monitor.close()
        nothing_removed(stand)


def test_contradicting_snapshot_means_keep(stand):
    """A process whose ContainerID isn't what its Cgroup says takes its container out."""
    good, bad = stand.container(1, cpu=0.9), stand.container(2, cpu=0.9)
    bad.fields["Cgroup"] = f"/docker/{good.id}/docker/{bad.id}"
    stand.monitor("--json", "--cycles", "2", *NOTHING_KEPT).end(0)
    equal(stand.engine.deleted(), [good.id], "removed")
    true(bad.lives(), "the disputed one lives")


# --- Trouble with the runtime --------------------------------------------------

def test_runtime_in_trouble(stand):
    """Each is said, nothing is removed, and the loop goes on; then it does its job."""
    victim = stand.container(1, cpu=0.9)
    whole = json.dumps([victim.listed()]).encode()
    stand.engine.on_list = lambda _: (200, b"[]")
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    monitor.wait_cycle(lambda c: rules(c), "a good cycle")
    for answer in ((500, b'{"message":"trouble"}'), (200, b"<html>"), (200, whole[:-1]), (200, b""),
                   (404, b"{}"), "close", (200, b'{"Id": 1}')):
        stand.engine.on_list = lambda _, answer=answer: answer
        cycle = monitor.wait_cycle(lambda c: "no list from the runtime" in c.get("trouble", ""),
                                   f"{answer}", monitor.last_cycle() + 1)
        equal(rules(cycle), {victim.id: "not known to the runtime"}, f"{answer}")
    stand.engine.on_list = lambda _: (200, b"[]")
    cycle = monitor.wait_cycle(lambda c: "trouble" not in c, "an empty list", monitor.last_cycle() + 1)
    equal(rules(cycle), {victim.id: "not known to the runtime"}, "an empty list")
    broken = b'null, 7, {}, [], {"Id": null}'
    stand.engine.on_list = lambda _: (200, b'[%s, {"Id": "x"}]' % broken)
    not_understood = "5 entries of the runtime's list were not understood; their containers stay"
    cycle = monitor.wait_cycle(lambda c: c.get("trouble") == not_understood, "a list of little sense",
                               monitor.last_cycle())
    equal(rules(cycle), {victim.id: "not known to the runtime"}, "a list of little sense")
    nothing_removed(stand)
    # What is not understood costs the others nothing.
    unclear = stand.container(2, cpu=0.9)
    spoilt = json.dumps(unclear.listed(Labels=7)).encode()
    stand.engine.on_list = lambda _: (200, b"[%s, %s, %s]" % (broken, spoilt, whole[1:-1]))
    cycle = monitor.wait_cycle(lambda c: c.get("killed"), "it recovers", monitor.last_cycle())
    true("entries of the runtime's list were not understood" in cycle.get("trouble", ""), cycle)
    monitor.end(0, signal.SIGTERM)
    equal(stand.engine.deleted(), [victim.id], "removed")
    true(unclear.lives(), "the one that was not understood")


def test_runtime_hangs(stand):
    victim = stand.container(1, cpu=0.9)
    stand.engine.on_list = lambda _: (200, b"[]")
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    monitor.wait_cycle(lambda c: rules(c), "a good cycle")
    stand.engine.on_list = lambda _: "hang"
    cycle = monitor.wait_cycle(lambda c: "no list from the runtime" in c.get("trouble", ""), "hangs")
    stand.engine.on_list = lambda _: (200, b"[]")
    monitor.wait_cycle(lambda c: "trouble" not in c, "it goes on", cycle["cycle"])
    equal(rules(cycle), {victim.id: "not known to the runtime"}, "rules")
    nothing_removed(stand)
    monitor.end(0, signal.SIGTERM)


def test_runtime_that_does_not_remove(stand):
    """Dead by its cgroup, but the runtime won't let it go; or is on its way to."""
    server = stand.log_server()
    fails, slow = stand.container(1), stand.container(2)

    def on_delete(handler):
        if fails.id in handler.path:
            return 500, b'{"message":"\x1b[31mdevice busy"}'
        return 409, b'{"message":"removal already in progress"}'

    stand.engine.on_delete = on_delete
    monitor = stand.monitor("--json", "--cycles", "2", *NOTHING_KEPT).end(0)
    outcome = {c["id"]: c["outcome"] for c in monitor.cycles()[0]["containers"]}
    for container, words in ((slow, "removed by the runtime after"),
                             (fails, "the runtime has not removed it: 500")):
        true(outcome[container.id].startswith("killed, not verified: cgroup.kill; no witness; populated right "
                                              "before, empty after") and words in outcome[container.id], outcome)
    true("device busy" in outcome[fails.id] and "removed by" not in outcome[fails.id], outcome)
    equal(sorted(stand.engine.seen("POST")),
          sorted([f"/containers/{slow.id}/wait?condition=not-running", f"/containers/{slow.id}/wait?condition=removed",
                  f"/containers/{fails.id}/wait?condition=not-running"]), "waited for")
    equal(sorted(stand.engine.seen("DELETE")), [f"/containers/{c.id}" for c in (fails, slow)],
          "asked once, without force")
    equal({r["container_id"]: (r["verified"], r["seen_by"], "removed by the runtime after" in r["evidence"])
           for r in server.records("logs")},
          {fails.id: (False, "cgroup", False), slow.id: (False, "cgroup", True)}, "records")


def test_removal_beside_the_cycles(stand):
    """The runtime takes its time for one: the next is killed meanwhile, each has one record."""
    server = stand.log_server()
    slow, quick = stand.container(1), stand.container(2, listed={"Labels": {"sysinfo.protect": "true"}})
    may = threading.Event()

    def on_delete(handler):
        true(slow.id not in handler.path or may.wait(PATIENCE_S), "it may remove")

    stand.engine.on_delete = on_delete
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    cycle = monitor.wait_cycle(lambda c: c.get("killed"), "the slow one is killed")
    outcome = {c["id"]: c["outcome"] for c in cycle["containers"]}
    true(outcome[slow.id].startswith("killed, not verified") and
         "not removed by the runtime yet" in outcome[slow.id], outcome)
    stand.engine.containers[1] = (quick, {})
    cycle = monitor.wait_cycle(lambda c: c.get("killed"), "the quick one is killed", cycle["cycle"])
    equal([c["id"] for c in cycle["containers"]], [quick.id], "who is killed")
    equal([r["container_id"] for r in server.records("logs") if r["container_id"] == slow.id], [], "its record")
    may.set()
    cycle = monitor.wait_cycle(lambda c: c.get("settled"), "it is removed", cycle["cycle"])
    (settled,) = cycle["settled"]
    equal((settled["id"], settled["outcome"]), (slow.id, "killed, not verified"), "settled")
    true("removed by the runtime after" in settled["evidence"], settled)
    monitor.end(0, signal.SIGTERM)
    equal(sorted((r["container_id"], r["action"], r["evidence"].count("removed by the runtime after"))
                 for r in server.records("logs")), [(slow.id, "killed", 1), (quick.id, "killed", 1)], "records")
    nothing_left(stand)


def test_survivor(stand):
    """Neither the kernel nor the runtime kills it. It is said, and waiting for its end
    takes no CPU."""
    server = stand.log_server()
    survivor = stand.container(1, bound=("cgroup.events", "cpu.stat"))
    # As before Linux 5.14.
    os.unlink(survivor.folder + "/cgroup.kill")
    stand.engine.on_delete = lambda _: (403, b'{"message":"no"}')
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a cycle with surplus")
    with open(f"/proc/{monitor.process.pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    monitor.end(0, signal.SIGTERM)
    true(cycle["containers"][0]["outcome"].startswith("survived"), cycle)
    equal((cycle["killed"], survivor.lives()), (0, True), "killed, lives")
    record = server.records("logs")[0]
    equal((record["action"], record["verified"]), ("survived", False), "record")
    true("no cgroup.kill" in record["evidence"] and "not seen empty" in record["evidence"], record)
    true(cpu_s < 0.5, f"it took {cpu_s} s of CPU to wait")


# --- Trouble with the log server -----------------------------------------------

def test_log_server_down(stand):
    """Records wait as files, the end is no failure, and the next run sends each once."""
    stand.container(1)
    monitor = stand.monitor("--json", "--cycles", "3", *NOTHING_KEPT).end(0)
    true("wait in " + stand.spool in monitor.text(), monitor.text())
    true(not monitor.cycles()[-1]["server_reachable"], "said")
    kills = [r for r in stand.waiting() if "container_id" in r]
    samples = [r for r in stand.waiting() if "total_ram" in r]
    equal((len(kills), len(samples)), (1, 4), "records that wait")

    server = stand.log_server()
    stand.monitor("--json", "--cycles", "1").end(0)
    equal([r["event_id"] for r in server.records("logs")], [kills[0]["event_id"]], "kills")
    ids = [r["event_id"] for r in server.records("logsmemory")]
    equal(len(ids), len(set(ids)), "each once")
    equal(ids[:4], [r["event_id"] for r in samples], "in order")
    nothing_left(stand)


def test_log_server_hangs(stand):
    """The cycles keep their pace."""
    stand.fake_log_server(lambda *_: "hang")
    monitor = stand.monitor("--json")
    monitor.wait_cycle(lambda c: True, "a cycle")
    start = time.monotonic()
    monitor.wait_cycle(lambda c: c["cycle"] == 5, "five cycles")
    took = time.monotonic() - start
    true(took < 8, f"four cycles of a second took {took:.1f} s")
    # It waits for the server at the end, but not for long, and keeps what isn't taken.
    start = time.monotonic()
    monitor.end(0, signal.SIGTERM)
    took = time.monotonic() - start
    true(took < END_S, f"the end took {took:.1f} s")
    true(len(stand.waiting()) >= 5, "the records are kept")


def test_log_server_refuses_one(stand):
    """That batch is put aside, the rest goes on."""
    server = stand.fake_log_server(
        lambda number, *_: (400, b'{"error":"no","index":0,"field":"pid"}') if number == 2 else TAKEN)
    stand.monitor("--json", "--cycles", "3").end(0)
    equal(len(server.posts), 4, "posts")
    refused = stand.waiting("refused-")
    equal(refused, server.posts[1][1], "put aside")
    equal(stand.waiting(), [], "waiting")


def test_log_server_busy_then_not(stand):
    for status in (503, 500, 429):
        server = stand.fake_log_server(
            lambda number, *_, status=status: (status, b"{}") if number == 1 else TAKEN)
        stand.monitor("--json", "--cycles", "2").end(0)
        events = [r["event_id"] for _, records in server.posts for r in records]
        equal((events[0], len(events), len(set(events))), (events[1], 4, 3), f"{status}: sent again")
        nothing_left(stand, f"{status}: the spool")


def test_something_else_on_the_port(stand):
    """What answers 200, but not as the log server does, has acknowledged nothing."""
    for answer in (b"<html>hello</html>", b"{}", b'{"received": false}', b""):
        server = stand.fake_log_server(lambda *_, answer=answer: (200, answer))
        stand.monitor("--json", "--cycles", "1").end(0)
        true(server.posts, "it was asked")
        true(len(stand.waiting()) >= 2, f"the records are gone after the answer {answer}")


# --- Kept, whatever happens ----------------------------------------------------

def test_intents_of_a_crashed_monitor(stand):
    """As an earlier version left them: who was alive is alive, and of the others nobody knows."""
    server = stand.log_server()
    lives = stand.container(1)
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot_id = file.read().strip()

    def intent(container, inode, number, boot_id=boot_id):
        return {"pid": 1, "container_id": container, "name": "x", "vsz": 1, "rss": 1,
                "memory_usage": 0.1, "cpu_usage": 1.5, "action": "intent",
                "timestamp": "2026-11-23T06:40:01.123Z", "event_id": f"old-{number}", "host": "h",
                "boot_id": boot_id, "cgroup": "/docker/" + container, "cgroup_id": inode,
                "intended_ms": int(time.time() * 1000) - 120_000}

    inode = os.stat(lives.folder).st_ino
    # The third is another container that had the same name, the last one of another boot.
    intents = [intent(container_id(99), 4711, 1), intent(lives.id, inode, 2), intent(lives.id, 4711, 3),
               intent(lives.id, inode, 4, "0f9c2b1e-0000-4000-8000-000000000002")]
    os.mkdir(stand.spool)
    with open(stand.spool + "/intent.json", "w") as file:
        json.dump(intents, file)
    stand.monitor("--json", "--cycles", "1").end(0)
    equal([(r["event_id"], r["verified"], r["seen_by"], r["action"]) for r in server.records("logs")],
          [("old-1", False, "none", "unknown"), ("old-2", False, "none", "survived"),
           ("old-3", False, "none", "unknown"), ("old-4", False, "none", "unknown")], "records")
    nothing_left(stand)
    # Whose end nobody saw may run again under its id.
    equal(stand.engine.seen("DELETE"), [], "removals")
    true(lives.lives(), "the one that lives is not touched")


def test_intents_that_are_unreadable(stand):
    """Not understood is not resolved: it is said, and stays for a person to see."""
    os.mkdir(stand.spool)
    with open(stand.spool + "/intent.json", "w") as file:
        file.write('[{"pid": 1, "container')
    monitor = stand.monitor("--json", "--cycles", "1").end(0)
    true(any("intent" in name for name in os.listdir(stand.spool)), "the file is still there")
    true("intent" in monitor.text(), monitor.text())


def test_killed_in_the_middle_of_the_act(stand):
    victim = stand.container(1)
    stand.engine.on_delete = lambda _: "hang"
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    stand.engine.wait_seen("DELETE")
    equal(victim.lives(), False, "its processes are dead by then")
    monitor.end(-signal.SIGKILL, signal.SIGKILL)
    server = stand.log_server()
    for _ in range(2):
        stand.monitor("--json", "--cycles", "1", *NOTHING_KEPT).end(0)
    equal([(r["container_id"], r["action"], r["verified"]) for r in server.records("logs")],
          [(victim.id, "unknown", False)], "one record, once")


def test_full_disk(stand):
    """No room for the intent, no kill."""
    os.mkdir(stand.spool)
    victim = stand.container(1)
    stand.groups.mount("-t", "tmpfs", "-o", "size=64k", "check-monitor", stand.spool)
    with open(stand.spool + "/filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a cycle with surplus")
    true("No space left" in cycle.get("trouble", ""), cycle)
    equal(cycle["killed"], 0, "killed")
    nothing_removed(stand)
    os.unlink(stand.spool + "/filler")
    monitor.wait_cycle(lambda c: c.get("killed"), "it recovers")
    equal(victim.lives(), False, "then it dies")
    monitor.end(0, signal.SIGTERM)
    kills = [r["container_id"] for r in stand.waiting() if "container_id" in r]
    equal(kills, [victim.id], "records")


def test_record_that_cannot_be_written(stand):
    """The disk fills up during the act: the intent stays until the record is written,
    also when there is a next kill."""
    first = stand.container(1, cpu=0.9)
    monitor = stand.monitor("--json", *NOTHING_KEPT)

    def limit(size):
        subprocess.run(["prlimit", "--pid", str(disk_process(monitor)), f"--fsize={size}:unlimited"],
                       check=True)

    stand.engine.on_delete = lambda _: limit(64)
    monitor.wait_cycle(lambda c: "File too large" in c.get("trouble", ""), "it is said")
    equal(first.lives(), False, "the first is dead")
    stand.engine.on_delete = lambda _: None
    limit("unlimited")
    second = stand.container(2, cpu=0.9)
    monitor.wait_cycle(lambda c: c.get("killed") and second.id in rules(c), "the second is killed")
    monitor.end(0, signal.SIGTERM)
    server = stand.log_server()
    stand.monitor("--json", "--cycles", "1").end(0)
    equal(sorted(r["container_id"] for r in server.records("logs")), [first.id, second.id], "records")


def test_end_by_a_signal(stand):
    stand.log_server()
    for how in (signal.SIGTERM, signal.SIGINT):
        monitor = stand.monitor("--json", "--interval", "3600")
        monitor.wait_line(rb"watching ")
        monitor.end(0, how)
        true("graphs are in" in monitor.text(), monitor.text())
        equal(sorted(os.listdir(stand.path("images"))), ["Memory.png", "Processes.png"], "graphs")
        shutil.rmtree(stand.path("images"))
        nothing_left(stand)


def ends_at_once(monitor, how=signal.SIGTERM):
    monitor.process.send_signal(how)
    try:
        equal(monitor.process.wait(END_S), 0, "exit status")
    except subprocess.TimeoutExpired:
        raise AssertionError(f"no end within {END_S} s; it said {monitor.text()[-1000:]}") from None


def test_end_whatever_hangs(stand):
    """The runtime in the middle of a removal, the log server, and the list of the next cycle."""
    stand.fake_log_server(lambda *_: "hang")
    victim = stand.container(1)
    stand.engine.on_delete = lambda _: "hang"
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    stand.engine.wait_seen("DELETE")
    stand.engine.on_list = lambda _: "hang"
    monitor.wait_cycle(lambda c: "no list from the runtime" in c.get("trouble", ""), "the runtime hangs")
    ends_at_once(monitor)
    equal(victim.lives(), False, "the victim")
    (record,) = [r for r in stand.waiting() if "container_id" in r]
    equal((record["container_id"], record["action"], record["verified"]), (victim.id, "killed", False), "record")
    true("removed by the runtime" not in record["evidence"], record)


def test_end_though_it_has_ended_its_cycles(stand):
    """It waits for a removal, as long as nobody tells it not to."""
    stand.container(1)
    stand.engine.on_delete = lambda _: "hang"
    monitor = stand.monitor("--json", "--cycles", "1", *NOTHING_KEPT)
    monitor.wait_cycle(lambda c: c["cycle"] == 1, "the last cycle")
    ends_at_once(monitor)


def held_by_the_disk(stand, disk):
    """A monitor that goes on, and whose victim lives: its intent is not on disk."""
    victim = stand.container(1)
    stand.engine.on_list = lambda _: (200, b"[]")
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    monitor.wait_cycle(lambda c: rules(c), "a good cycle")
    disk.freeze()
    stand.engine.on_list = lambda _: None
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a surplus")
    cycle = monitor.wait_cycle(lambda c: "containers" in c, "it goes on", cycle["cycle"] + 1)
    true(victim.lives(), "nothing is intended on disk, so nobody dies")
    return monitor, victim


def test_disk_hangs_for_a_while(stand):
    """What was planned before that is too old then: it is judged anew."""
    server = stand.log_server()
    with Disk(stand) as disk:
        stand.spool = disk.where + "/spool"
        monitor, victim = held_by_the_disk(stand, disk)
        disk.freeze(False)
        monitor.wait_cycle(lambda c: c.get("killed"), "it does its job again")
        equal(victim.lives(), False, "the victim")
        monitor.end(0, signal.SIGTERM)
        nothing_left(stand)
    equal([(r["action"], "the plan had expired" in r["evidence"]) for r in server.records("logs")],
          [("survived", True), ("killed", False)], "records")


def test_end_though_the_disk_hangs(stand):
    with Disk(stand) as disk:
        stand.spool = disk.where + "/spool"
        monitor, _ = held_by_the_disk(stand, disk)
        ends_at_once(monitor)
    nothing_removed(stand)


# --- What is said --------------------------------------------------------------

HOSTILE = "\x1b[2J\x07\r\n\x7f\u009b31m\u202egpj.exe\u2066\U0001f600\\\"'"


def test_hostile_names(stand):
    """Nothing but printable ASCII and line ends reaches a terminal."""
    hostile = Container(1, cpu=0.9, name=HOSTILE, Cmdline=HOSTILE)
    lxc = Container(2, ContainerID="\x1b[31m\u202e" + "x" * 20, Cgroup="/lxc/\x1b[31m\u202e" + "x" * 20,
                    Runtime="lxc", name=HOSTILE)
    stand.module.containers = [hostile, lxc]
    stand.engine.containers = [
        (hostile, {"Names": ["/" + HOSTILE], "Image": HOSTILE, "State": HOSTILE,
                   "Labels": {HOSTILE: HOSTILE}}), (lxc, {"Names": ["/" + HOSTILE], "Image": HOSTILE})]
    for options in ((), ("--json",)):
        monitor = stand.monitor("--cycles", "2", *options).end(0)
        said = b"".join(monitor.out + monitor.err)
        bad = sorted(set(said) - set(range(0x20, 0x7f)) - {0x0a})
        equal(bytes(bad), b"", f"bytes in what it says {options}")
        true(b"gpj.exe" in said, said)
    for cycle in monitor.cycles():
        true(all("gpj.exe" in c["name"] for c in cycle["containers"]), "the names in JSON")
    # In a runtime's words for its trouble, too.
    stand.engine.on_list = lambda _: (500, HOSTILE.encode())
    fake = stand.fake_log_server(lambda *_: (503, HOSTILE.encode()))
    for options in ((), ("--json",)):
        monitor = stand.monitor("--cycles", "2", *options).end(0)
        said = b"".join(monitor.out + monitor.err)
        bad = sorted(set(said) - set(range(0x20, 0x7f)) - {0x0a})
        equal(bytes(bad), b"", f"bytes of a refusal in what it says {options}")
    true(fake.posts, "the log server was asked")


def test_process_without_a_name(stand):
    """prctl(PR_SET_NAME, "") is anybody's to call; the kill's record must be taken."""
    server = stand.log_server()
    nameless, other = stand.container(1, name=""), stand.container(2)
    stand.monitor("--json", "--cycles", "1", *NOTHING_KEPT).end(0)
    equal(stand.waiting("refused-"), [], "refused")
    equal(sorted(r["container_id"] for r in server.records("logs")), [nameless.id, other.id], "records")


def test_json_is_one_object_a_cycle(stand):
    """Also where nothing was decided."""
    monitor = stand.monitor("--json")
    monitor.wait_cycle(lambda c: True, "a cycle")
    stand.module.hold("")
    cycle = monitor.wait_cycle(lambda c: "trouble" in c, "a bad cycle")
    stand.module.hold(None)
    monitor.wait_cycle(lambda c: "containers" in c, "a good cycle", cycle["cycle"])
    monitor.end(0, signal.SIGTERM)
    numbers = [c["cycle"] for c in monitor.cycles()]
    equal(numbers, list(range(1, len(numbers) + 1)), "cycles")


def test_every_line_is_the_monitors(stand):
    """No other program's words between ours: here crontab's, that there is none."""
    monitor = stand.monitor("--json", "--cycles", "1").end(0)
    for line in monitor.err:
        true(line.startswith(b"monitor: "), line)


CAP_SYS_NICE = 23


def niceness(pid):
    return {int(task): os.getpriority(os.PRIO_PROCESS, int(task)) for task in os.listdir(f"/proc/{pid}/task")}


def test_priority(stand):
    """It goes before the containers, but nothing that it starts does."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    with open("/proc/self/status") as file:
        may = int(re.search(r"^CapEff:\s+(\w+)", file.read(), re.M)[1], 16) >> CAP_SYS_NICE & 1
    stand.log_server()
    crontab = stand.path("bin/crontab")
    shutil.move(crontab, crontab + ".real")
    with open(crontab, "w") as file:
        file.write(f'#!/bin/sh\nnice >>{crontab}.nice\nexec {crontab}.real "$@"\n')
    os.chmod(crontab, 0o755)
    monitor = stand.monitor("--json")
    monitor.wait_line(rb"watching ")
    found = niceness(monitor.process.pid)
    # Who has chosen for it, as whoever runs this suite may have, has chosen.
    equal(found.pop(monitor.process.pid), usual or (-20 if may else 0), "its own")
    equal(set(found.values()) - {usual}, set(), "its threads'")
    equal(set(niceness(disk_process(monitor)).values()), {usual}, "its disk process's")
    wait_until(lambda: os.path.exists(crontab + ".nice") and os.path.getsize(crontab + ".nice"), "crontab is run")
    with open(crontab + ".nice") as file:
        equal(set(file.read().split()), {str(usual)}, "its children's")
    monitor.end(0, signal.SIGTERM)

    monitor = stand.monitor("--json", wrap=["nice", "-n", "5"])
    monitor.wait_line(rb"watching ")
    equal(set(niceness(monitor.process.pid).values()), {min(usual + 5, 19)}, "as chosen")
    monitor.end(0, signal.SIGTERM)

    # May not: then it is as before.
    monitor = stand.monitor("--json", wrap=["setpriv", "--bounding-set=-sys_nice"])
    monitor.wait_line(rb"watching ")
    equal(set(niceness(monitor.process.pid).values()), {usual}, "without the capability")
    monitor.end(0, signal.SIGTERM)


# --- The generator's cron entry ------------------------------------------------

OTHERS = "# kept\n7 3 * * 2 /bin/true 50\\% done\n"


def with_generator(stand):
    os.mkdir(stand.path("compose"))
    with open(stand.path("compose/generate"), "w") as file:
        file.write("#!/bin/sh\n")
    os.chmod(stand.path("compose/generate"), 0o755)
    with open(stand.crontab, "w") as file:
        file.write(OTHERS)


def table(stand):
    with open(stand.crontab) as file:
        return file.read()


def wait_table(stand, good, what):
    """crontab runs beside the monitor, and may outlive it by a moment."""
    wait_until(lambda: good(table(stand)), what)
    return table(stand)


def has_entry(text):
    # To its last line: the crontab is written while it is looked at.
    return text.startswith(OTHERS) and text.endswith("# END sysinfo monitor\n")


def test_cron_entry_comes_and_goes(stand):
    with_generator(stand)
    monitor = stand.monitor("--json", generator=True)
    monitor.wait_line(rb"watching ")
    entry = wait_table(stand, has_entry, "the entry comes")
    true(entry.count("compose/generate") == 1 and stand.spool + "/lock" in entry, entry)
    monitor.end(0, signal.SIGINT)
    wait_table(stand, OTHERS.__eq__, "the entry goes")

    # Killed, it can't; the next start does, whether it wants a generator or not.
    monitor = stand.monitor("--json", generator=True)
    monitor.wait_line(rb"watching ")
    wait_table(stand, has_entry, "the entry comes again")
    monitor.end(-signal.SIGKILL, signal.SIGKILL)
    true(has_entry(table(stand)), "it is still there")
    stand.monitor("--json", "--cycles", "1").end(0)
    wait_table(stand, OTHERS.__eq__, "what was left goes")

    os.unlink(stand.path("compose/generate"))
    monitor = stand.monitor("--json", generator=True).end(1)
    true("compose/generate" in monitor.text(), monitor.text())
    equal(table(stand), OTHERS, "the crontab")


def test_cron_entry_of_another_monitor(stand):
    """One that only looks, with a spool of its own, leaves a living one's entry alone."""
    with_generator(stand)
    first = stand.monitor("--json", generator=True)
    before = wait_table(stand, has_entry, "the entry comes")
    # What takes an entry out has first read what is there.
    real = stand.path("bin/crontab")
    shutil.move(real, real + ".real")
    with open(real, "w") as file:
        file.write(f'#!/bin/sh\n{real}.real "$@"; status=$?\necho "$1" >>{real}.asked\nexit $status\n')
    os.chmod(real, 0o755)
    stand.spool = stand.path("other-spool")
    looks = stand.monitor("--json", "--dry-run")
    wait_until(lambda: os.path.exists(real + ".asked"), "it has looked at the crontab")
    looks.wait_cycle(lambda c: True, "a cycle")
    looks.end(0, signal.SIGTERM)
    with open(real + ".asked") as file:
        equal(file.read(), "-l\n", "what crontab was asked for")
    equal(table(stand), before, "the crontab")
    first.end(0, signal.SIGTERM)
    wait_table(stand, OTHERS.__eq__, "the crontab at the end")


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
