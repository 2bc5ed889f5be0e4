#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The kill protocol on the real monitor, natively: stop means stop at every step, the faults
that a search of the protocol's model found in an earlier version, and a crash at every step.
Step names are those of userspace/act and tests/model. Prints TAP.
Usage: check_protocol.py [NAME]..."""

import json
import os
import re
import resource
import signal
import socket
import sys
import threading
import time

sys.dont_write_bytecode = True
from stand import (FAULTS, NOTHING_KEPT, PATIENCE_S, Container, actions_of, equal, inspected, of,
                   outcome, preload, rules, run_tests, slots, stopped, true, write_legacy_intents)

PROTECTED = {"Labels": {"sysinfo.protect": "true"}}
# Before the first kill; the intent is durable from "intended" on.
BEFORE = ("planned", "intended", "policy-off", "held")
STEPS = (*BEFORE, "first-killed", "all-killed", "seen-empty", "removed", "concluded", "durable",
         "recorded", "answered", "closed")


def restart_under_the_same_id(stand, container):
    """As a runtime does for a restart policy: the same id, a new cgroup, a new process."""
    again = Container(0, ContainerID=container.id)
    container.child.wait(PATIENCE_S)
    os.rename(container.folder, container.folder + ".old")
    os.rmdir(container.group)
    stand.groups.folders.remove(container.group)
    stand.groups.add(again)
    stand.module.containers.append(again)
    stand.engine.containers.append((again, {}))
    return again


# --- Stop means stop ---------------------------------------------------------------

def called_off_at(stand, step, how):
    """The monitor stands at a step; it is told to stop; it goes on: nobody dies any more."""
    server = stand.log_server()
    victims = [stand.container(n) for n in (1, 2, 3)]
    monitor = stand.monitor("--json", "--interval", "5", *NOTHING_KEPT, program=FAULTS,
                            env={"MONITOR_PAUSE": step})
    stopped(monitor)
    dead = 1 if step == "first-killed" else 0
    monitor.process.send_signal(how)
    monitor.process.send_signal(signal.SIGCONT)
    if how == signal.SIGUSR1:
        cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "the plan's cycle")
        equal((cycle["mode"], cycle["killed"]), ("disarmed", dead), "mode, killed")
        for victim in victims[dead:]:
            true(outcome(cycle, victim) in ("survived: not touched; called off", "surplus, not removed"),
                 outcome(cycle, victim))
        monitor.process.send_signal(signal.SIGTERM)
    monitor.end(0)
    equal([v.lives() for v in victims], [False] * dead + [True] * (3 - dead), f"{step}: who lives")
    equal(stand.engine.seen("DELETE"), [], f"{step}: removals")
    # What the end cut off is settled at the next start.
    stand.monitor("--json", "--dry-run", "--cycles", "1", "--keep-low", "9").end(0)
    stand.monitor("--json", "--cycles", "1", "--keep-low", "9").end(0)
    records = server.records("logs")
    for victim in victims[dead:]:
        # At "planned" it had been asked already: the intent is written, and then spared.
        equal(actions_of(records, victim), ["survived"], f"{step}: records")
        for record in of(records, victim):
            true("not touched" in record["evidence"], record)


def make_called_off(step, how):
    def test(stand):
        called_off_at(stand, step, how)
    return test


for _step in (*BEFORE, "first-killed"):
    for _how in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
        globals()[f"test_{_how.name.lower()}_at_{_step.replace('-', '_')}"] = make_called_off(_step, _how)


SLOW_FSYNC = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* While the file HOLD exists, fsync() of a file whose path has NAME in it says so in MARK, and
 * waits; while FAIL exists, it fails. */
int fsync(int fd)
{
	int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
	char link[64], path[4096];
	ssize_t n;
	FILE *mark;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	if (!strstr(path, getenv("NAME")))
		return real(fd);
	if (!access(getenv("FAIL"), F_OK)) {
		errno = EIO;
		return -1;
	}
	while (!access(getenv("HOLD"), F_OK)) {
		mark = fopen(getenv("MARK"), "w");
		if (mark)
			fclose(mark);
		poll(NULL, 0, 10);
	}
	return real(fd);
}
"""


def disk_of(stand, name):
    """An environment in which fsync of such files waits for, or fails by, files of the test."""
    return {"LD_PRELOAD": preload(stand, SLOW_FSYNC), "NAME": name, "HOLD": stand.path("hold"),
            "FAIL": stand.path("fail"), "MARK": stand.path("mark")}


def touch(path):
    open(path, "w").close()


def wait_file(path):
    end = time.monotonic() + PATIENCE_S
    while not os.path.exists(path):
        true(time.monotonic() < end, f"no {path}")
        time.sleep(0.01)


def called_off_while_written(stand, how):
    """A disk that holds the intent for ever: cycles go on, and so does the end."""
    stand.log_server()
    victim = stand.container(1)
    stand.engine.on_list = lambda _: (200, b"[]")
    monitor = stand.monitor("--json", *NOTHING_KEPT, env=disk_of(stand, "intent"))
    monitor.wait_cycle(lambda c: rules(c), "it has started")
    touch(stand.path("hold"))
    stand.engine.on_list = lambda _: None
    wait_file(stand.path("mark"))
    return victim, monitor


def test_disarmed_while_the_intent_is_written(stand):
    victim, monitor = called_off_while_written(stand, signal.SIGUSR1)
    seen = monitor.last_cycle()
    monitor.process.send_signal(signal.SIGUSR1)
    monitor.wait_cycle(lambda c: c["mode"] == "disarmed", "cycles go on, disarmed", seen + 2)
    os.unlink(stand.path("hold"))
    monitor.wait_cycle(lambda c: any(s["id"] == victim.id and s["outcome"] == "survived"
                                     for s in c.get("settled", [])), "the intent has its outcome")
    monitor.end(0, signal.SIGTERM)
    equal((victim.lives(), stand.engine.seen("DELETE")), (True, []), "lives, removals")


def test_ended_while_the_intent_is_written(stand):
    victim, monitor = called_off_while_written(stand, signal.SIGTERM)
    begin = time.monotonic()
    monitor.end(0, signal.SIGTERM)
    took = time.monotonic() - begin
    os.unlink(stand.path("hold"))
    true(took < 2, f"it took {took:.2f} s to end")
    true(victim.lives(), "it lives")


def test_disarmed_in_the_grace(stand):
    """The stop signal is out; no cgroup.kill follows, and who has ended by it is told as that."""
    server = stand.log_server()
    deaf = stand.container(1, command=("sh", "-c", "trap '' TERM; exec sleep 1000"))
    asked = threading.Event()
    stand.engine.on_post = lambda handler: "/kill?" in handler.path and (asked.set() or (204, b""))
    monitor = stand.monitor("--json", "--grace", "20", "--interval", "3", *NOTHING_KEPT)
    true(asked.wait(PATIENCE_S), "the stop signal")
    monitor.process.send_signal(signal.SIGUSR1)
    cycle = monitor.wait_cycle(lambda c: c["mode"] == "disarmed", "it is disarmed")
    # The runtime's answer may still have been on its way.
    true(re.fullmatch("survived: stop signal (perhaps )?sent, no cgroup.kill; no witness; not seen empty; "
                      "called off", outcome(cycle, deaf)), outcome(cycle, deaf))
    monitor.end(0, signal.SIGTERM)
    true(deaf.lives(), "it lives")
    equal([(r["action"], r["evidence"].rsplit("; ", 1)[1]) for r in of(server.records("logs"), deaf)],
          [("survived", "called off")], "records")


def test_ended_in_the_grace(stand):
    deaf = stand.container(1, command=("sh", "-c", "trap '' TERM; exec sleep 1000"))
    asked = threading.Event()
    stand.engine.on_post = lambda handler: "/kill?" in handler.path and (asked.set() or (204, b""))
    monitor = stand.monitor("--json", "--grace", "20", *NOTHING_KEPT)
    true(asked.wait(PATIENCE_S), "the stop signal")
    begin = time.monotonic()
    monitor.end(0, signal.SIGTERM)
    took = time.monotonic() - begin
    true(took < 2 and deaf.lives(), f"it took {took:.2f} s to end; lives {deaf.lives()}")


# --- What a search of the model found ------------------------------------------------

def with_policy(stand, container, policy, update):
    """The runtime's word of one container with a restart policy; @update answers its change."""
    updates = []

    def on_inspect(handler):
        if container.id in handler.path and container.lives():
            return 200, json.dumps(inspected(container, policy)).encode()
        return None

    def on_post(handler):
        if not handler.path.endswith("/update"):
            return None
        policy = json.loads(handler.body)["RestartPolicy"]["Name"]
        updates.append(policy)
        return update(policy)

    stand.engine.on_inspect, stand.engine.on_post = on_inspect, on_post
    return updates


def test_s1_restart_policy_is_switched_off(stand):
    """So nothing comes back under the id, and the removal need not be forced."""
    server = stand.log_server()
    victim, innocent = stand.container(1), stand.container(2, listed=PROTECTED)
    alive = []
    updates = with_policy(stand, victim, "always", lambda _: alive.append(victim.lives()) or (200, b"{}"))
    stand.monitor("--json", "--cycles", "1", *NOTHING_KEPT).end(0)
    equal((updates, alive), (["no"], [True]), "changes of the policy, and that it lived then")
    equal(stand.engine.seen("DELETE"), [f"/containers/{victim.id}"], "removals: not forced")
    equal((victim.lives(), innocent.lives()), (False, True), "lives")
    (record,) = server.records("logs")
    true("restart_policy" not in record and "removed with it" not in record["evidence"], record)


def test_s1_policy_that_stays(stand):
    """The runtime can't change it, and starts the victim again at once: the removal has to be
    forced, and the record says that a successor went, too."""
    server = stand.log_server()
    victim, innocent = stand.container(1), stand.container(2, listed=PROTECTED)
    again = []
    updates = with_policy(stand, victim, "always", lambda _: (404, b"{}"))
    plain = stand.engine.on_post

    def on_post(handler):
        if "/wait?" in handler.path and not again:
            again.append(restart_under_the_same_id(stand, victim))
        return plain(handler)

    def on_delete(handler):
        if "force" not in handler.path:
            return 409, b'{"message":"You cannot remove a running container"}'
        again[0].child.kill()
        return None

    stand.engine.on_post, stand.engine.on_delete = on_post, on_delete
    monitor = stand.monitor("--json", "--interval", "5", *NOTHING_KEPT)
    cycle = monitor.wait_cycle(lambda c: c.get("killed"), "it is killed")
    monitor.end(0, signal.SIGTERM)
    equal(updates, ["no"], "attempts to change the policy")
    equal([p.partition("?")[2] for p in stand.engine.seen("DELETE")], ["", "force=true"], "removals")
    equal((again[0].lives(), innocent.lives()), (False, True), "the successor, the innocent")
    true("started again under its id was removed with it" in outcome(cycle, victim), outcome(cycle, victim))
    equal(actions_of(server.records("logs"), victim), ["killed"], "records")


def test_s1_called_off_before_the_successor(stand):
    """As above, but the operator stops it in between: the successor, whom nobody judged, lives."""
    victim = stand.container(1)
    again = []
    with_policy(stand, victim, "always", lambda _: (404, b"{}"))
    plain = stand.engine.on_post

    def on_post(handler):
        if "/wait?" in handler.path and not again:
            again.append(restart_under_the_same_id(stand, victim))
        return plain(handler)

    def on_delete(_):
        monitor.process.send_signal(signal.SIGUSR1)
        return 409, b'{"message":"You cannot remove a running container"}'

    stand.engine.on_post, stand.engine.on_delete = on_post, on_delete
    monitor = stand.monitor("--json", "--interval", "5", *NOTHING_KEPT)
    monitor.wait_cycle(lambda c: c.get("killed"), "it is killed")
    monitor.end(0, signal.SIGTERM)
    equal(stand.engine.seen("DELETE"), [f"/containers/{victim.id}"], "removals")
    true(again[0].lives(), "the successor lives")


def test_s1_started_by_hand(stand):
    """No restart policy: what runs under the id again was started by somebody, and stays. If
    the policy had been switched off, it is set back."""
    server = stand.log_server()
    for policy, wanted in (("no", []), ("always", ["no", "always"])):
        victim = stand.container(1 if policy == "no" else 2)
        again = []
        updates = with_policy(stand, victim, policy, lambda _: (200, b"{}"))
        plain = stand.engine.on_post

        def on_post(handler, victim=victim, again=again, plain=plain):
            if "/wait?" in handler.path and not again:
                again.append(restart_under_the_same_id(stand, victim))
            return plain(handler)

        stand.engine.on_post = on_post
        stand.engine.on_delete = lambda _: (409, b'{"message":"You cannot remove a running container"}')
        stand.monitor("--json", "--cycles", "1", "--interval", "2", *NOTHING_KEPT).end(0)
        true(again[0].lives(), f"{policy}: what was started by hand lives")
        equal(updates, wanted, f"{policy}: changes of the policy")
        (record,) = of(server.records("logs"), victim)
        true(record["action"] == "killed" and "has not removed it: 409" in record["evidence"], record)
        again[0].child.kill()
    equal([p for p in stand.engine.seen("DELETE") if "force" in p], [], "forced removals")


def test_s1_policy_is_set_back_where_it_is_spared(stand):
    """Called off between the policy's change and the kill, also by the end of the monitor."""
    server = stand.log_server()
    victim = stand.container(1)
    updates = with_policy(stand, victim, "unless-stopped", lambda _: (200, b"{}"))
    monitor = stand.monitor("--json", *NOTHING_KEPT, program=FAULTS, env={"MONITOR_PAUSE": "policy-off"})
    stopped(monitor)
    monitor.process.send_signal(signal.SIGUSR1)
    monitor.process.send_signal(signal.SIGCONT)
    monitor.wait_cycle(lambda c: c["mode"] == "disarmed", "it is disarmed")
    monitor.end(0, signal.SIGTERM)
    equal(updates, ["no", "unless-stopped"], "changes of the policy")
    updates.clear()
    os.unlink(stand.spool + "/disarmed")
    touch(stand.spool + "/armed")
    stand.monitor("--json", *NOTHING_KEPT, program=FAULTS, env={"MONITOR_FAULT": "held"}).end(-signal.SIGKILL)
    equal(updates, ["no"], "changes of the policy")
    stand.monitor("--json", "--cycles", "1", "--keep-low", "9").end(0)
    equal(updates, ["no", "unless-stopped"], "the next start sets it back")
    true(victim.lives(), "it lives")
    equal(actions_of(server.records("logs"), victim), ["survived", "survived"], "records")


def test_s2_reboot_between_kill_and_record(stand):
    """It was told to die, or not: after a boot nobody knows. Nothing is removed."""
    server = stand.log_server()
    victim = stand.container(1)
    stand.monitor("--json", *NOTHING_KEPT, program=FAULTS,
                  env={"MONITOR_FAULT": "all-killed"}).end(-signal.SIGKILL)
    victim.child.wait(PATIENCE_S)
    (intent,) = slots(stand)
    write_legacy_intents(stand, [{**intent, "boot_id": "11111111-2222-3333-4444-555555555555"}])
    stand.monitor("--json", "--cycles", "1").end(0)
    equal([(r["action"], r["verified"], r["seen_by"]) for r in of(server.records("logs"), victim)],
          [("unknown", False, "none")], "records")
    equal(stand.engine.seen("DELETE"), [], "removals")


def test_s4_ends_by_itself_before_the_kill(stand):
    """Held, and then it ends: the last look sees it, claims nothing, and removes nothing."""
    server = stand.log_server()
    ends, victim = stand.container(1), stand.container(2)
    monitor = stand.monitor("--json", "--interval", "5", *NOTHING_KEPT, program=FAULTS,
                            env={"MONITOR_PAUSE": "held"})
    stopped(monitor)
    ends.child.terminate()
    ends.child.wait()
    monitor.process.send_signal(signal.SIGCONT)
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a plan")
    monitor.end(0, signal.SIGTERM)
    equal(outcome(cycle, ends), "was already gone: its cgroup was empty before it was touched", "outcome")
    equal(victim.lives(), False, "the other one dies")
    equal(stand.engine.deleted(), [victim.id], "removals")
    equal([(r["action"], r["verified"]) for r in of(server.records("logs"), ends)], [("gone", False)], "records")


def batches(stand):
    """The bodies that wait, to the byte."""
    found = []
    for name in sorted(os.listdir(stand.spool)):
        if re.fullmatch(r"\d{20}-logs\.json", name):
            with open(f"{stand.spool}/{name}", "rb") as file:
                found.append(file.read())
    return found


def test_s5_one_content_for_one_event(stand):
    """Ended between the batch and the intent's end: the next start puts the same bytes again."""
    victim = stand.container(1)
    stand.monitor("--json", *NOTHING_KEPT, program=FAULTS,
                  env={"MONITOR_FAULT": "recorded"}).end(-signal.SIGKILL)
    (first,) = batches(stand)
    stand.monitor("--json", "--cycles", "1").end(0)
    equal(batches(stand), [first, first], "bodies")
    server = stand.log_server()
    stand.monitor("--json", "--cycles", "1").end(0)
    equal(actions_of(server.records("logs"), victim), ["killed"], "records")
    equal([n for n in os.listdir(stand.spool) if n.startswith("refused")], [], "refused")


def test_s6_a_write_that_fails_once(stand):
    """The closed intent leaves the disk at the next cycle, not at the next act."""
    stand.log_server()
    victim = stand.container(1)
    monitor = stand.monitor("--json", *NOTHING_KEPT, program=FAULTS,
                            env={**disk_of(stand, "intent"), "MONITOR_PAUSE": "recorded"})
    stopped(monitor)
    touch(stand.path("fail"))
    monitor.process.send_signal(signal.SIGCONT)
    cycle = monitor.wait_cycle(lambda c: "tried again" in c.get("trouble", ""), "it is told")
    os.unlink(stand.path("fail"))
    monitor.wait_cycle(lambda c: "trouble" not in c, "two quiet cycles", cycle["cycle"] + 2)
    equal(slots(stand), [], "what is on disk")
    monitor.end(0, signal.SIGTERM)


def test_s6_an_intent_that_fails(stand):
    """No durable intent, no kill; and none of it is on disk once writes succeed again."""
    stand.log_server()
    victim = stand.container(1)
    stand.engine.on_list = lambda _: (200, b"[]")
    monitor = stand.monitor("--json", *NOTHING_KEPT, env=disk_of(stand, "intent"))
    monitor.wait_cycle(lambda c: rules(c), "it has started")
    touch(stand.path("fail"))
    stand.engine.on_list = lambda _: None
    cycle = monitor.wait_cycle(lambda c: "could not be written, so nothing is removed" in c.get("trouble", ""),
                               "it is told")
    equal((cycle["killed"], victim.lives()), (0, True), "killed, lives")
    stand.engine.on_list = lambda _: (200, b"[]")
    os.unlink(stand.path("fail"))
    monitor.wait_cycle(lambda c: "trouble" not in c, "two quiet cycles", cycle["cycle"] + 3)
    equal(slots(stand), [], "what is on disk")
    monitor.end(0, signal.SIGTERM)
    equal((victim.lives(), stand.engine.seen("DELETE")), (True, []), "lives, removals")


def test_s7_untouched_and_ended_by_itself(stand):
    """Intended, the monitor is ended; the container ends by itself: its remains are left alone."""
    server = stand.log_server()
    victim = stand.container(1)
    stand.monitor("--json", *NOTHING_KEPT, program=FAULTS,
                  env={"MONITOR_FAULT": "intended"}).end(-signal.SIGKILL)
    victim.child.terminate()
    victim.child.wait()
    stand.monitor("--json", "--cycles", "1").end(0)
    equal(stand.engine.seen("DELETE"), [], "removals")
    (record,) = of(server.records("logs"), victim)
    equal((record["action"], record["verified"]), ("unknown", False), "record")
    true("left alone" in record["evidence"], record)


def test_s8_no_batch_blocks_others(stand):
    """One gets 500 each time, one 409, one a stranger's 404, one can't be read: all others
    pass, and what is refused is put aside under its name."""
    os.makedirs(stand.spool, mode=0o700)
    for number in range(1, 9):
        with open(f"{stand.spool}/{number:020d}-logs.json", "w") as file:
            json.dump([{"event_id": f"e{number}"}], file)
    os.unlink(f"{stand.spool}/{4:020d}-logs.json")
    os.mkdir(f"{stand.spool}/{4:020d}-logs.json")
    answers = {"e1": (500, b"<html>"), "e2": (409, b'{"error":"event_id e2 has another content"}'),
               "e3": (404, b"nginx")}

    def reply(_, path, records):
        if path == "/logs" and records[0].get("event_id") in answers:
            return answers[records[0]["event_id"]]
        return 200, json.dumps({"received": True, "stored": len(records), "duplicates": 0}).encode()

    server = stand.fake_log_server(reply)
    victim = stand.container(1)
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    with server.changed:
        true(server.changed.wait_for(lambda: {"e5", "e6", "e7", "e8"} <= {
            r.get("event_id") for p, rs in server.posts for r in rs if p == "/logs"} and any(
            r.get("action") == "killed" for _, rs in server.posts for r in rs), PATIENCE_S), "all others pass")
    monitor.end(0, signal.SIGTERM)
    true(not victim.lives(), "the victim dies")
    left = sorted(n for n in os.listdir(stand.spool) if n[0] in "0r")
    equal([n for n in left if "-logs.json" in n], [f"{n:020d}-logs.json" for n in (1, 3, 4)] + [
        f"refused-{2:020d}-logs.json"], "what is left")


# --- Answers that come late, and requests in the middle of a step ------------------------

DEAF = ("sh", "-c", "trap '' TERM; exec sleep 1000")


def test_damaged_slot_is_kept(stand):
    """What the newer slot says is lost, which is told, and it is not written over."""
    stand.log_server()
    victim = stand.container(1)
    stand.monitor("--json", *NOTHING_KEPT, program=FAULTS, env={"MONITOR_FAULT": "held"}).end(-signal.SIGKILL)
    stand.monitor("--json", "--cycles", "1", "--keep-low", "9").end(0)
    numbers = {}
    for name in ("intent.json", "intent.2.json"):
        with open(f"{stand.spool}/{name}", "rb") as file:
            numbers[name] = int(file.readline().split()[2])
    newest = max(numbers, key=numbers.get)
    with open(f"{stand.spool}/{newest}", "r+b") as file:
        file.write(b"#")
    monitor = stand.monitor("--json", "--cycles", "1", "--keep-low", "9").end(0)
    true("one of the two slots of intents" in b"".join(monitor.err).decode(), monitor.err)
    (kept,) = [n for n in os.listdir(stand.spool) if n.startswith("broken-")]
    with open(f"{stand.spool}/{kept}", "rb") as file:
        true(file.read().startswith(b"#ysinfo-intents"), "it is kept as it was")
    equal(victim.lives(), True, "lives")


def test_no_descriptor_is_no_reason_to_go_by_the_id(stand):
    """Whose group can't be opened is spared; it is not removed by the runtime unseen."""
    stand.log_server()
    victims = [stand.container(n) for n in range(30)]
    monitor = stand.monitor("--json", "--kills-per-cycle", "99", "--interval", "14", *NOTHING_KEPT, program=FAULTS,
                            env={"MONITOR_PAUSE": "intended"})
    stopped(monitor)
    used = max(int(n) for n in os.listdir(f"/proc/{monitor.process.pid}/fd"))
    resource.prlimit(monitor.process.pid, resource.RLIMIT_NOFILE, (used + 20, used + 20))
    monitor.process.send_signal(signal.SIGCONT)
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a plan")
    monitor.end(0, signal.SIGTERM)
    spared = [v for v in victims if v.lives()]
    true(0 < len(spared) < 30, f"{len(spared)} of 30 are spared")
    equal([p for p in stand.engine.seen("DELETE") for v in spared if v.id in p], [], "removals of what lives")
    true(all(outcome(cycle, v).startswith("survived: ") for v in spared), [outcome(cycle, v) for v in spared])


def second_batch(stand, on_first):
    """A plan of 131, of which the last three are confirmed only after the timer of the first
    128 has passed."""
    victims = [stand.container(n, listed={"Image": f"image-{n}"}) for n in range(131)]
    lock, confirmed, told = threading.Lock(), [], []

    def on_inspect(handler):
        with lock:
            confirmed.append(handler.path)
            late = len(confirmed) > 128
            if late and not told:
                told.append(on_first())
        if late:
            stand.engine.ended.wait(2.5)

    stand.engine.on_inspect = on_inspect
    return victims


def test_disarmed_while_the_second_batch_is_confirmed(stand):
    stand.log_server()
    victims = second_batch(stand, lambda: monitor.process.send_signal(signal.SIGUSR1))
    monitor = stand.monitor("--json", "--kills-per-cycle", "200", "--interval", "14", *NOTHING_KEPT)
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a plan")
    equal((cycle["mode"], cycle["killed"]), ("disarmed", 128), "mode, killed")
    monitor.end(0, signal.SIGTERM)
    equal(sum(v.lives() for v in victims), 3, "how many live")


def test_second_batch_is_slow(stand):
    """What the first one's timer does is the first one's."""
    server = stand.log_server()
    victims = second_batch(stand, lambda: None)
    monitor = stand.monitor("--json", "--kills-per-cycle", "200", "--interval", "14", *NOTHING_KEPT)
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a plan")
    equal((cycle["killed"], sum(v.lives() for v in victims)), (131, 0), "killed, lives")
    monitor.end(0, signal.SIGTERM)
    equal(sorted(r["action"] for r in server.records("logs")), ["killed"] * 131, "records")


def test_answer_to_the_stop_signal_comes_after_the_kill(stand):
    """Its grace is over by then: it is killed, removed once, and recorded once."""
    server = stand.log_server()
    for number, answer in enumerate(((204, b""), (409, b'{"message":"not running"}')), 1):
        victim = stand.container(number, command=DEAF)
        answered = threading.Event()

        def on_post(handler, victim=victim, answer=answer, answered=answered):
            if "/kill?" in handler.path:
                victim.child.wait(PATIENCE_S)
                answered.set()
                return answer
            # The removal begins when that answer is there.
            return answered.wait(PATIENCE_S) and None

        stand.engine.on_post = on_post
        stand.monitor("--json", "--cycles", "1", "--grace", "1", "--interval", "2", *NOTHING_KEPT).end(0)
        equal([p for p in stand.engine.seen("DELETE") if victim.id in p], [f"/containers/{victim.id}"], "removals")
        (record,) = of(server.records("logs"), victim)
        true(record["action"] == "killed" and "removed by the runtime" in record["evidence"], record)


def test_disarmed_between_two_kills_in_a_grace(stand):
    victims = [stand.container(n, command=DEAF) for n in (1, 2, 3)]
    monitor = stand.monitor("--json", "--grace", "1", "--interval", "5", *NOTHING_KEPT, program=FAULTS,
                            env={"MONITOR_PAUSE": "first-killed"})
    stopped(monitor)
    monitor.process.send_signal(signal.SIGUSR1)
    monitor.process.send_signal(signal.SIGCONT)
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a plan")
    monitor.end(0, signal.SIGTERM)
    equal((cycle["killed"], [v.lives() for v in victims]), (1, [False, True, True]), "killed, lives")


def test_disarmed_when_the_grace_ends(stand):
    """Both are there when the monitor next looks: the request, and the end of the grace."""
    victims = [stand.container(n, command=DEAF) for n in (1, 2, 3)]
    asked = threading.Semaphore(0)
    stand.engine.on_post = lambda handler: "/kill?" in handler.path and (asked.release() or (204, b""))
    monitor = stand.monitor("--json", "--grace", "2", "--interval", "8", *NOTHING_KEPT)
    for _ in victims:
        true(asked.acquire(timeout=PATIENCE_S), "the stop signals")
    monitor.process.send_signal(signal.SIGSTOP)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(stand.spool + "/control.sock")
        client.sendall(b"disarm\n")
        # Longer than the grace, which goes on while the monitor stands.
        stand.engine.ended.wait(2.5)
        monitor.process.send_signal(signal.SIGCONT)
        client.settimeout(PATIENCE_S)
        equal(json.loads(client.recv(65536))["mode"], "disarmed", "the answer")
    monitor.wait_cycle(lambda c: c.get("surplus") and c["mode"] == "disarmed", "its cycle")
    monitor.end(0, signal.SIGTERM)
    equal([v.lives() for v in victims], [True] * 3, "lives")


def test_policy_that_is_switched_off_late(stand):
    """The runtime does it, and says so too late: it is set back where the victim is spared."""
    victim = stand.container(1)
    begun = threading.Event()

    def update(policy):
        if policy == "no":
            begun.set()
            stand.engine.ended.wait(4)
        return 200, b"{}"

    updates = with_policy(stand, victim, "always", update)
    monitor = stand.monitor("--json", "--interval", "10", *NOTHING_KEPT)
    true(begun.wait(PATIENCE_S), "the change of the policy")
    monitor.process.send_signal(signal.SIGUSR1)
    stand.engine.wait_seen("POST", 2)
    monitor.end(0, signal.SIGTERM)
    equal((victim.lives(), updates), (True, ["no", "always"]), "lives, changes of the policy")


def test_policy_after_a_reboot(stand):
    victim = stand.container(1)
    updates = with_policy(stand, victim, "always", lambda _: (200, b"{}"))
    stand.monitor("--json", *NOTHING_KEPT, program=FAULTS,
                  env={"MONITOR_FAULT": "policy-off"}).end(-signal.SIGKILL)
    write_legacy_intents(stand, [{**i, "boot_id": "11111111-2222-3333-4444-555555555555"} for i in slots(stand)])
    stand.monitor("--json", "--cycles", "2", "--keep-low", "9").end(0)
    equal(updates, ["no", "always"], "changes of the policy")


def test_one_content_though_the_policy_is_set_back_late(stand):
    """The end concludes it; the runtime's answer comes while its batch is being written."""
    server = stand.fake_log_server(lambda n, path, records: (200, json.dumps(
        {"received": True, "stored": len(records), "duplicates": 0}).encode()))
    victim = stand.container(1)
    begun = threading.Event()

    def update(policy):
        if policy != "no":
            begun.set()
            stand.engine.ended.wait(0.8)
        return 200, b"{}"

    with_policy(stand, victim, "always", update)
    stand.engine.on_delete = lambda _: (500, b'{"message":"boom"}')
    monitor = stand.monitor("--json", "--interval", "5", *NOTHING_KEPT, env=disk_of(stand, "-logs.json"))
    true(begun.wait(PATIENCE_S), "the policy is set back")
    touch(stand.path("hold"))
    monitor.process.send_signal(signal.SIGTERM)
    stand.engine.ended.wait(1.1)
    os.unlink(stand.path("hold"))
    monitor.end(0)
    stand.monitor("--json", "--cycles", "1", "--keep-low", "9").end(0)
    contents = {json.dumps(r) for path, records in server.posts if path == "/logs" for r in records}
    equal(len(contents), 1, f"contents of one event: {contents}")


def test_reload_in_the_middle_of_an_act(stand):
    """Its cycle is told by then; the recording goes on."""
    stand.log_server()
    first, second = stand.container(1), stand.container(2)
    stand.engine.on_list = lambda _: (200, b"[]")
    monitor = stand.monitor("--json", "--interval", "2", "--record", stand.path("recording"), *NOTHING_KEPT,
                            env=disk_of(stand, "intent"))
    monitor.wait_cycle(lambda c: rules(c), "it has started")
    touch(stand.path("hold"))
    stand.engine.on_list = lambda _: (200, json.dumps([first.listed()]).encode())
    wait_file(stand.path("mark"))
    monitor.process.send_signal(signal.SIGHUP)
    monitor.wait_line(rb"^monitor: reloaded")
    stand.engine.on_list = lambda _: None
    os.unlink(stand.path("hold"))
    first.child.wait(PATIENCE_S)
    second.child.wait(PATIENCE_S)
    monitor.end(0, signal.SIGTERM)
    equal(stand.run("replay", stand.path("recording"))[0], 0, "the recording can be replayed")


def test_disk_process_is_killed(stand):
    """Without it nothing can be intended or recorded: the monitor ends, and says why."""
    victim = stand.container(1)
    stand.engine.on_post = lambda handler: "hang" if "/wait?" in handler.path else None
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    stand.engine.wait_seen("POST")
    with open(f"/proc/{monitor.process.pid}/task/{monitor.process.pid}/children") as file:
        for child in file.read().split():
            with open(f"/proc/{child}/comm") as name:
                if name.read() == "monitor-disk\n":
                    os.kill(int(child), signal.SIGKILL)
    monitor.end(1)
    true("the process that writes the spool has ended" in monitor.text(), monitor.text()[-500:])
    true(not victim.lives(), "the victim")


# --- A crash at every step, and the books ------------------------------------------------

def crash_at(stand, step, policy, grace):
    """Ended at a step, started again until all is settled: each durable intent has one outcome,
    no event has two contents, whoever is told as killed is dead, and the innocent lives."""
    server = stand.log_server()
    innocent = stand.container(1, listed=PROTECTED)
    victims = [stand.container(n) for n in (2, 3)]
    if policy != "no":
        stand.engine.on_inspect = lambda handler: next(
            ((200, json.dumps(inspected(c, policy)).encode()) for c in victims
             if c.id in handler.path and c.lives()), None)
    if grace:
        by_id = {c.id: c for c in victims}
        stand.engine.on_post = lambda handler: "/kill?" in handler.path and (
            by_id[handler.path.split("/")[2]].child.terminate() or (204, b""))
    options = ("--json", "--cycles", "2", "--grace", str(grace), "--interval", "2", *NOTHING_KEPT)
    monitor = stand.monitor(*options, program=FAULTS, env={"MONITOR_FAULT": step})
    monitor.process.wait(PATIENCE_S)
    stand.monitor(*options).end(0)
    records = server.records("logs")
    true(innocent.lives() and not of(records, innocent), "the innocent lives")
    ids = [r["event_id"] for r in records]
    equal(len(ids), len(set(ids)), f"one content for each event: {ids}")
    for victim in victims:
        true(not victim.lives(), "it is dead in the end")
        # Exactly one outcome is about its death: a kill, or that nobody knows.
        ends = [r["action"] for r in of(records, victim) if r["action"] != "survived"]
        true(ends in (["killed"], ["unknown"]), f"{step}: {actions_of(records, victim)}")
    equal([p for p in stand.engine.seen("DELETE") if "force" in p], [], "forced removals")
    equal(slots(stand), [], "open intents")
    equal([n for n in os.listdir(stand.spool) if n[0] in "0rb"], [], "batches left")


def make_crash(step, policy, grace):
    def test(stand):
        crash_at(stand, step, policy, grace)
    return test


for _step in STEPS:
    globals()[f"test_crash_at_{_step.replace('-', '_')}"] = make_crash(_step, "no", 0)
for _step in ("policy-off", "held", "all-killed", "durable"):
    globals()[f"test_crash_with_a_policy_at_{_step.replace('-', '_')}"] = make_crash(_step, "always", 0)
for _step in ("stop-sent", "seen-empty", "all-killed", "durable"):
    globals()[f"test_crash_with_grace_at_{_step.replace('-', '_')}"] = make_crash(_step, "no", 1)


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
