#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Recordings and their replay, natively. Prints TAP. Usage: check_recording.py [NAME]..."""

import json
import os
import re
import signal
import sys

sys.dont_write_bytecode = True
from stand import NOTHING_KEPT, Container, container_id, equal, nothing_removed, one_line, rules, run_tests, true

# What must be the same there and here, of each container in each cycle.
SAME = ("class", "rule", "verdict", "rank", "quota", "cpu", "memory", "window_cycles", "cpu_line",
        "cpu_distance", "memory_line", "memory_distance", "source", "why")


def replay(stand, *options, status=0):
    got, out, err = stand.run("replay", *options)
    equal(got, status, f"exit status of the replay; it said {err}")
    return out, err


def replay_json(stand, *options):
    lines = [json.loads(line) for line in replay(stand, "--json", *options)[0].splitlines()]
    return lines[:-1], lines[-1]["summary"]


def record_kills(stand):
    """Cycles in which some die by a policy with all its parts; what the monitor said of them."""
    stand.log_server()
    for number in range(4):
        stand.container(number, cpu=0.2 * number + 0.15, listed={"Image": f"image-{number % 2}"})
    for number in range(10, 15):
        stand.container(number, memory_mib=number)
    stand.container(20, cpu=0.9, listed={"Labels": {"keep": "me"}})
    monitor = stand.monitor("--json", "--record", stand.path("recording"), "--window", "2",
                            "--hysteresis", "10", "--protect", "label:keep=*", "--keep-high", "1")
    monitor.wait_cycle(lambda c: c.get("killed"), "somebody dies")
    stand.container(5, cpu=0.99)
    monitor.wait_cycle(lambda c: rules(c).get(container_id(5)) == "within the quota", "another comes")
    seen = monitor.last_cycle()
    stand.module.hold("")
    monitor.wait_cycle(lambda c: "trouble" in c, "a cycle without sight", seen)
    stand.module.hold(None)
    monitor.process.send_signal(signal.SIGUSR1)
    monitor.wait_line(rb"^monitor: disarmed")
    stand.container(6, cpu=0.98)
    monitor.wait_cycle(lambda c: c.get("surplus") and c["mode"] == "disarmed", "a surplus that stays")
    monitor.process.send_signal(signal.SIGUSR2)
    monitor.wait_line(rb"^monitor: armed \(SIGUSR2\)")
    monitor.wait_cycle(lambda c: c.get("killed"), "it dies", monitor.last_cycle() - 1)
    monitor.end(0, signal.SIGTERM)
    return monitor.cycles()


def test_same_decisions(stand):
    """The recorded policy gives, from the recording alone, what was decided then."""
    cycles = record_kills(stand)
    looks, summary = replay_json(stand, stand.path("recording"))
    # The first look decides nothing, and the monitor says nothing of it.
    equal([c["cycle"] for c in looks], [0] + [c["cycle"] for c in cycles], "cycles")
    decided = 0
    for live, anew in zip(cycles, looks[1:]):
        equal((anew["mode"], anew["recorded_mode"], anew.get("surplus")),
              (live["mode"], live["mode"], live.get("surplus")), f"cycle {live['cycle']}")
        equal([c["id"] for c in anew.get("containers", [])],
              [c["id"] for c in live.get("containers", [])], "containers, in their order")
        for a, b in zip(live.get("containers", []), anew.get("containers", [])):
            equal([b.get(key) for key in SAME], [a.get(key) for key in SAME], f"{a['id']} in {live['cycle']}")
            equal((b["recorded"]["class"], b["recorded"]["rule"]), (a["class"], a["rule"]), "as recorded")
            decided += 1
    true(decided > 30, f"only {decided} decisions")
    died = len(stand.engine.deleted())
    equal((summary["both"], summary["only_recorded"], summary["only_this_policy"]), (died, 0, 0), "summary")
    true(died >= 6, f"{died} died")


def test_begins_disarmed(stand):
    """What disarmed it before is not in the recording, but that it was."""
    for number in range(3):
        stand.container(number, cpu=0.9)
    monitor = stand.monitor("--json", "--kills-per-cycle", "2", *NOTHING_KEPT)
    monitor.wait_cycle(lambda c: c["mode"] == "disarmed", "the brake")
    monitor.end(0, signal.SIGTERM)
    recording = stand.path("recording")
    monitor = stand.monitor("--json", "--record", recording, *NOTHING_KEPT)
    monitor.wait_cycle(lambda c: c.get("surplus") == 3, "a surplus that stays")
    monitor.end(0, signal.SIGTERM)
    nothing_removed(stand)
    looks, summary = replay_json(stand, recording, "--kills-per-cycle", "3")
    equal({(c["mode"], c["disarmed_by"]) for c in looks},
          {("disarmed", "3 kills in this cycle (kills-per-cycle 2)")}, "modes")
    equal(summary["only_this_policy"], 0, "deaths")


def test_same_bytes(stand):
    record_kills(stand)
    other = stand.path("other.conf")
    with open(other, "w") as file:
        file.write("classifier = rank\nkeep-high = 3\nkeep-low = 1\n")
    for options in ((), ("--json",), ("--config", other), ("--config", other, "--json")):
        first = replay(stand, *options, stand.path("recording"))
        equal(replay(stand, *options, stand.path("recording")), first, f"the same again, with {options}")
        true(len(first[0]) > 500, first)


def test_another_policy(stand):
    """Who would have died, beside who did."""
    heavy, middle, light = stand.container(1, cpu=0.9), stand.container(2, cpu=0.6), stand.container(3)
    recording = stand.path("recording")
    monitor = stand.monitor("--json", "--record", recording, "--keep-high", "1")
    monitor.wait_cycle(lambda c: c.get("killed"), "the middle one dies")
    monitor.wait_cycle(lambda c: True, "two more", monitor.last_cycle() + 1)
    monitor.end(0, signal.SIGTERM)
    equal(stand.engine.deleted(), [middle.id], "removed")
    other = stand.path("other.conf")
    with open(other, "w") as file:
        file.write("keep-high = 2\nkeep-low = 0\n")
    out, err = replay(stand, recording, "--config", other)
    equal(err, "", "what it says besides")
    true(re.search(rf"{middle.id[:12]} +n-\S+ +recorded: killed, not verified +this policy: stays: within the quota: high", out), out)
    true(re.search(rf"{light.id[:12]} +n-\S+ +recorded: stayed +this policy: dies: surplus: low", out), out)
    true(re.search(r"0 die either way, 1 only as recorded, 1 only by this policy", out), out)
    true(heavy.id[:12] not in out, out)
    # Dead here, it isn't there to die again.
    equal(len(re.findall(r"this policy: dies", out)), 1, "deaths of the light one")
    # Options win over the recorded policy, as over any.
    out, _ = replay(stand, "--keep-low", "0", recording)
    true("1 die either way, 0 only as recorded, 1 only by this policy" in out, out)
    # And the grounds of the last decision, from the recording.
    status, out, _ = stand.run("explain", recording)
    true(status == 0 and re.search(rf"^{heavy.id[:12]} .* keep .*rank 1 of the 1", out, re.M), out)
    status, out, _ = stand.run("explain", recording, "--cycles", "1", "--json")
    equal((status, len(json.loads(out)["containers"]), json.loads(out)["cycle"]), (0, 3, 1), "of the first cycle")
    status, out, _ = stand.run("explain", recording, "--json", "--config", other)
    equal((status, [c["verdict"] for c in json.loads(out)["containers"]]), (0, ["keep"]), "explain --json")


def test_record_only_looks(stand):
    stand.container(1, cpu=0.9)
    first = stand.monitor("--json", "--keep-high", "1")
    first.wait_cycle(lambda c: True, "a cycle")
    recording = stand.path("recording")
    status, out, err = stand.run("record", recording, *stand.options(), "--cycles", "2", "--json",
                                 *NOTHING_KEPT)
    equal((status, err), (0, ""), "record, beside a monitor")
    cycles = [json.loads(line) for line in out.splitlines()]
    equal({c["mode"] for c in cycles}, {"dry run"}, "mode")
    equal([c["outcome"] for c in cycles[-1]["containers"]], ["would be killed (dry run)"], "outcome")
    first.end(0, signal.SIGTERM)
    nothing_removed(stand)
    looks, summary = replay_json(stand, recording)
    equal((len(looks), summary["both"]), (3, 1), "looks, and who would have died")
    equal(os.stat(recording).st_mode & 0o777, 0o600, "nobody else may read it")


def test_killed_while_recording(stand):
    """All but the torn end is there, and the next start keeps it beside."""
    stand.container(1, cpu=0.9)
    recording = stand.path("recording")
    monitor = stand.monitor("--json", "--record", recording)
    monitor.wait_cycle(lambda c: c["cycle"] == 3, "three cycles")
    # Two at once would spoil it.
    got, _, err = stand.run("record", recording, *stand.options())
    equal((got, "another monitor records to" in err), (1, True), err)
    monitor.end(-signal.SIGKILL, signal.SIGKILL)
    whole = os.path.getsize(recording)
    looks, _ = replay_json(stand, recording)
    true(len(looks) >= 4, looks)
    os.truncate(recording, whole - 7)
    out, err = replay(stand, recording)
    true("are no whole frame" in err, err)
    monitor = stand.monitor("--json", "--record", recording, "--cycles", "1").end(0)
    equal(len(replay_json(stand, recording)[0]), 2, "looks of the new one")
    true(len(replay_json(stand, recording + ".old")[0]) >= 3, "looks of the old one")


def test_not_a_recording(stand):
    mine = stand.path("mine.txt")
    with open(mine, "w") as file:
        file.write("my letters, all of them\n")
    one_line(stand.run("replay", mine), 1, mine, "no recording")
    one_line(stand.run("replay", stand.path("missing")), 1, "missing", "No such file")
    one_line(stand.run("record", mine, *stand.options()), 1, mine, "left as it is")
    with open(mine) as file:
        equal(file.read(), "my letters, all of them\n", "the file")


def test_disk_full(stand):
    """The recording lacks what there was no room for; the monitor goes on, and says so."""
    os.mkdir(stand.path("small"))
    victim = stand.container(1, cpu=0.9, name="x" * 15)
    stand.groups.mount("-t", "tmpfs", "-o", "size=16k", "check-monitor", stand.path("small"))
    filler = stand.path("small/filler")
    monitor = stand.monitor("--json", "--record", stand.path("small/recording"))
    monitor.wait_cycle(lambda c: "trouble" not in c and c["cycle"] >= 2, "it records")
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    # A look that is more than what is left of the last page.
    stand.module.containers += [Container(0, ContainerID=os.urandom(32).hex()) for _ in range(200)]
    cycle = monitor.wait_cycle(lambda c: "missing in the recording" in c.get("trouble", ""), "it is said")
    true("No space left" in cycle["trouble"] and rules(cycle), cycle)
    del stand.module.containers[1:]
    os.unlink(filler)
    good = monitor.wait_cycle(lambda c: "trouble" not in c, "there is room again", cycle["cycle"])
    monitor.end(0, signal.SIGTERM)
    looks, _ = replay_json(stand, stand.path("small/recording"))
    numbers = [c["cycle"] for c in looks]
    true(good["cycle"] in numbers and cycle["cycle"] not in numbers, numbers)
    true(victim.lives(), "nobody was to die")


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
