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
import time

sys.dont_write_bytecode = True
from stand import (MONITOR, NOTHING_KEPT, TAKEN, Container, boottime_us, container_id, equal,
                   nothing_removed, one_line, rules, run_tests, true)

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

    def on_delete(_):
        with open(stand.spool + "/intent.json") as file:
            intents.append(file.read())

    stand.engine.on_delete = on_delete
    monitor = stand.monitor("--json", "--cycles", "3").end(0)
    first, second, _ = monitor.cycles()
    equal(stand.engine.deleted(), sorted(c.id for c in surplus), "removed")
    equal([c.lives() for c in keep + [unknown]], [True] * 9, "the innocent live")
    equal([c.lives() for c in surplus], [False] * 4, "the surplus is dead")
    equal((first["surplus"], first["killed"], second["surplus"]), (4, 4, 0), "figures")
    equal(sorted({r for i, r in rules(second).items() if i in {c.id for c in keep[5:] + [unknown]}}),
          ["label sysinfo.protect=true", "not known to the runtime",
           "paused, restarting or being removed", "the log server"], "rules")
    for text in intents:
        equal(sorted(i["container_id"] for i in json.loads(text)), sorted(c.id for c in surplus),
              "the intents were on disk before")
    equal(len(intents), 4, "removals with intents on disk")

    records = server.records("logs")
    equal(sorted(r["container_id"] for r in records), sorted(c.id for c in surplus), "records")
    for record in records:
        equal((record["action"], record["verified"], record["signal"]), ("killed", True, 9), record)
    equal(len(server.records("logsmemory")), 4, "memory samples: the first look and three cycles")
    equal(sorted(os.listdir(stand.spool)), ["lock"], "what is left in the spool")
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
    """Between its judgement and the act one has ended, and another's name is somebody else's."""
    server = stand.log_server()
    ended, replaced = stand.container(1), stand.container(2)

    def on_list(_):
        if len(stand.engine.seen("GET")) != 2:
            return
        ended.child.kill()
        ended.child.wait()
        os.rename(replaced.folder, replaced.folder + ".old")
        os.mkdir(replaced.folder)
        with open(replaced.folder + "/cgroup.events", "w") as file:
            file.write("populated 1\nfrozen 0\n")
        # The list is of a moment before.
        return 200, json.dumps([ended.listed(), replaced.listed()]).encode()

    stand.engine.on_list = on_list
    monitor = stand.monitor("--json", "--cycles", "1", *NOTHING_KEPT).end(0)
    cycle = monitor.cycles()[0]
    equal((cycle["surplus"], cycle["killed"]), (2, 0), "surplus and killed")
    for container in cycle["containers"]:
        true(container["outcome"].startswith("was already gone"), container)
    equal(stand.engine.seen("DELETE"), [], "removals")
    true(replaced.lives(), "the one that was renamed lives")
    equal({r["container_id"]: (r["action"], r["verified"], r["evidence"]) for r in server.records("logs")},
          {ended.id: ("gone", False, "its cgroup was empty before the act"),
           replaced.id: ("gone", False, "another cgroup has its name now")}, "records")


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
    cycle = monitor.wait_cycle(lambda c: "loaded anew" in c.get("trouble", ""), "it is noticed")
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
    for answer in (b"[]", b"[null, 7, {}, [], {\"Id\": null}, {\"Id\": \"x\"}]"):
        stand.engine.on_list = lambda _, answer=answer: (200, answer)
        cycle = monitor.wait_cycle(lambda c: "trouble" not in c, f"{answer}", monitor.last_cycle() + 1)
        equal(rules(cycle), {victim.id: "not known to the runtime"}, f"{answer}")
    nothing_removed(stand)
    stand.engine.on_list = lambda _: None
    monitor.wait_cycle(lambda c: c.get("killed"), "it recovers")
    monitor.end(0, signal.SIGTERM)


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
    true(outcome[slow.id].startswith("killed and verified"), outcome)
    true(outcome[fails.id].startswith("killed, unverified") and "device busy" in outcome[fails.id],
         outcome)
    equal([path.split("?")[0] for path in stand.engine.seen("POST")],
          [f"/containers/{slow.id}/wait"], "waited for")
    equal({r["container_id"]: r["verified"] for r in server.records("logs")},
          {fails.id: False, slow.id: True}, "records")


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
    equal(sorted(os.listdir(stand.spool)), ["lock"], "what is left in the spool")


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
    true(took < 20, f"the end took {took:.1f} s")
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
        equal(sorted(os.listdir(stand.spool)), ["lock"], f"{status}: the spool")


def test_something_else_on_the_port(stand):
    """What answers 200, but not as the log server does, has acknowledged nothing."""
    for answer in (b"<html>hello</html>", b"{}", b'{"received": false}', b""):
        server = stand.fake_log_server(lambda *_, answer=answer: (200, answer))
        stand.monitor("--json", "--cycles", "1").end(0)
        true(server.posts, "it was asked")
        true(len(stand.waiting()) >= 2, f"the records are gone after the answer {answer}")


# --- Kept, whatever happens ----------------------------------------------------

def test_intents_of_a_crashed_monitor(stand):
    server = stand.log_server()
    lives = stand.container(1)
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot_id = file.read().strip()

    def intent(container, inode, number):
        return {"pid": 1, "container_id": container, "name": "x", "vsz": 1, "rss": 1,
                "memory_usage": 0.1, "cpu_usage": 1.5, "action": "intent",
                "timestamp": "2026-11-23T06:40:01.123Z", "event_id": f"old-{number}", "host": "h",
                "boot_id": boot_id, "cgroup": "/docker/" + container, "cgroup_id": inode,
                "intended_ms": int(time.time() * 1000) - 120_000}

    intents = [intent(container_id(99), 4711, 1), intent(lives.id, os.stat(lives.folder).st_ino, 2),
               intent(lives.id, 4711, 3)]
    os.mkdir(stand.spool)
    with open(stand.spool + "/intent.json", "w") as file:
        json.dump(intents, file)
    stand.monitor("--json", "--cycles", "1").end(0)
    # The third is another container that had the same name.
    equal([(r["event_id"], r["verified"], r["action"]) for r in server.records("logs")],
          [("old-1", False, "killed"), ("old-2", False, "survived"), ("old-3", False, "killed")],
          "records")
    equal(sorted(os.listdir(stand.spool)), ["lock"], "what is left in the spool")
    # What is dead is tidied away, but not by force: it might run again.
    equal(stand.engine.seen("DELETE"), ["/containers/" + container_id(99)], "removals")
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
    equal([(r["container_id"], r["verified"]) for r in server.records("logs")], [(victim.id, False)],
          "one record, once")


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
        subprocess.run(["prlimit", "--pid", str(monitor.process.pid), f"--fsize={size}:unlimited"],
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
        equal(sorted(os.listdir(stand.spool)), ["lock"], "the spool")


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


def niceness(monitor):
    return {int(task): os.getpriority(os.PRIO_PROCESS, int(task))
            for task in os.listdir(f"/proc/{monitor.process.pid}/task")}


def test_priority(stand):
    """It goes before the containers, but nothing that it starts does."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    with open("/proc/self/status") as file:
        may = int(re.search(r"^CapEff:\s+(\w+)", file.read(), re.M)[1], 16) >> CAP_SYS_NICE & 1
    stand.log_server()  # so that there is a thread
    crontab = stand.path("bin/crontab")
    shutil.move(crontab, crontab + ".real")
    with open(crontab, "w") as file:
        file.write(f'#!/bin/sh\nnice >>{crontab}.nice\nexec {crontab}.real "$@"\n')
    os.chmod(crontab, 0o755)
    monitor = stand.monitor("--json")
    monitor.wait_line(rb"watching ")
    found = niceness(monitor)
    # Who has chosen for it, as whoever runs this suite may have, has chosen.
    equal(found.pop(monitor.process.pid), usual or (-20 if may else 0), "its own")
    true(found and set(found.values()) == {usual}, f"its threads': {found}")
    with open(crontab + ".nice") as file:
        equal(set(file.read().split()), {str(usual)}, "its children's")
    monitor.end(0, signal.SIGTERM)

    monitor = stand.monitor("--json", wrap=["nice", "-n", "5"])
    monitor.wait_line(rb"watching ")
    equal(set(niceness(monitor).values()), {min(usual + 5, 19)}, "as chosen")
    monitor.end(0, signal.SIGTERM)

    # May not: then it is as before.
    monitor = stand.monitor("--json", wrap=["setpriv", "--bounding-set=-sys_nice"])
    monitor.wait_line(rb"watching ")
    equal(set(niceness(monitor).values()), {usual}, "without the capability")
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


def test_cron_entry_comes_and_goes(stand):
    with_generator(stand)
    monitor = stand.monitor("--json", generator=True)
    monitor.wait_line(rb"watching ")
    true(table(stand).startswith(OTHERS) and table(stand).count("compose/generate") == 1, table(stand))
    true(stand.spool + "/lock" in table(stand), table(stand))
    monitor.end(0, signal.SIGINT)
    equal(table(stand), OTHERS, "the crontab")

    # Killed, it can't; the next start does, whether it wants a generator or not.
    monitor = stand.monitor("--json", generator=True)
    monitor.wait_line(rb"watching ")
    monitor.end(-signal.SIGKILL, signal.SIGKILL)
    true(table(stand) != OTHERS, "it is still there")
    stand.monitor("--json", "--cycles", "1").end(0)
    equal(table(stand), OTHERS, "the crontab")

    os.unlink(stand.path("compose/generate"))
    monitor = stand.monitor("--json", generator=True).end(1)
    true("compose/generate" in monitor.text(), monitor.text())
    equal(table(stand), OTHERS, "the crontab")


def test_cron_entry_of_another_monitor(stand):
    """One that only looks, with a spool of its own, leaves a living one's entry alone."""
    with_generator(stand)
    first = stand.monitor("--json", generator=True)
    first.wait_line(rb"watching ")
    before = table(stand)
    stand.spool = stand.path("other-spool")
    stand.monitor("--json", "--cycles", "1", "--dry-run").end(0)
    equal(table(stand), before, "the crontab")
    first.end(0, signal.SIGTERM)
    equal(table(stand), OTHERS, "the crontab at the end")


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
