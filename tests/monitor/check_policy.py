#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The monitor's policy, natively: what it may do, how it is told, and what it says of it.
Prints TAP. Usage: check_policy.py [NAME]..."""

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios

sys.dont_write_bytecode = True
from stand import (MONITOR, NOTHING_KEPT, container_id, equal, nothing_removed, one_line, rules,
                   run_tests, true)


NOT_WHOLE = "its labels, name or image, which the policy asks for, are not known whole"


def configure(stand, text, name="monitor.conf"):
    path = stand.path(name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)
    return path


def of(cycle, container):
    return next(c for c in cycle["containers"] if c["id"] == container.id)


# --- Configuration ---------------------------------------------------------------

def test_drop_in_with_a_mistake(stand):
    path = configure(stand, "keep-high = 1\n")
    bad = configure(stand, "# fine\nkeep-low = some\n", "monitor.conf.d/50-mine.conf")
    one_line(stand.run("--config", path, "--check-config"), 2, f"{bad}:2: ", "keep-low", "some")
    one_line(stand.run("--config", path), 2, f"{bad}:2: ")
    os.unlink(bad)
    os.symlink("/nowhere", bad)
    one_line(stand.run("--config", path, "--check-config"), 2, bad, "No such file")


def test_configuration_at_its_usual_place(stand):
    """In a file system of its own: /etc is somebody's."""
    script = ("mount -t tmpfs none /etc && mkdir -p /etc/monitor/monitor.conf.d && "
              "echo 'snapshot = /from/etc' >/etc/monitor/monitor.conf && $0 --check-config; $0; "
              "echo 'snapshot = /from/drop-in' >/etc/monitor/monitor.conf.d/a.conf; $0; "
              "$0 --snapshot /from/option; rm /etc/monitor/monitor.conf; $0; "
              "ln -s /nowhere /etc/monitor/monitor.conf; $0; rm -r /etc/monitor; "
              "$0 --snapshot /without")
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script, MONITOR], capture_output=True,
                          text=True, env=stand.environment(), check=False)
    equal(done.stdout, "configuration ok\n", "check")
    equal(re.findall(r"snapshot (\S+):", done.stderr),
          ["/from/etc", "/from/drop-in", "/from/option", "/from/drop-in", "/without"], "snapshots")
    # A link to nowhere is no missing file: what it was to say is not left out without a word.
    equal(len(re.findall(r"/etc/monitor/monitor.conf: No such file", done.stderr)), 1, done.stderr)


def test_reload(stand):
    """SIGHUP reads the files again; a bad one leaves the old one in force."""
    path = configure(stand, "keep-high = 1\nkeep-low = 5\n")
    heavy, light = stand.container(1, cpu=0.9), stand.container(2, cpu=0.5)
    monitor = stand.monitor("--json", "--config", path, "--dry-run")
    monitor.wait_cycle(lambda c: rules(c).get(light.id) == "surplus", "the first policy")
    configure(stand, "keep-high = 2\nkeep-low = lots\n")
    monitor.process.send_signal(signal.SIGHUP)
    monitor.wait_line(b"not reloaded.*the old configuration stays.*monitor.conf:2: keep-low: 'lots'")
    cycle = monitor.wait_cycle(lambda c: c.get("containers"), "a cycle", monitor.last_cycle())
    equal(rules(cycle)[light.id], "surplus", "the old policy")
    configure(stand, "keep-high = 2\nrecord-mib = 7\n")
    monitor.process.send_signal(signal.SIGHUP)
    monitor.wait_line(b"reloaded; but these need a restart: record-mib")
    cycle = monitor.wait_cycle(lambda c: c.get("containers"), "a cycle", monitor.last_cycle() + 1)
    equal({rules(cycle)[c.id] for c in (heavy, light)}, {"within the quota"}, "the new policy")
    # Options win then, too.
    configure(stand, "dry-run = no\ninterval = 3600\nkeep-high = 0\n")
    monitor.process.send_signal(signal.SIGHUP)
    monitor.wait_line(b"reloaded; but these need a restart: record-mib|^monitor: reloaded\n")
    cycle = monitor.wait_cycle(lambda c: c.get("surplus") == 2, "the third policy")
    equal(cycle["mode"], "dry run", "mode")
    monitor.end(0, signal.SIGTERM)
    nothing_removed(stand)


def on_a_terminal(stand, *wrap):
    """A monitor that is the leader of a terminal's session; and its other end."""
    ours, theirs = pty.openpty()

    def lead():
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    monitor = stand.monitor("--json", wrap=wrap, preexec_fn=lead, pass_fds=(theirs,))
    os.close(theirs)
    monitor.wait_cycle(lambda c: True, "a cycle")
    return monitor, ours


def test_terminal_is_closed(stand):
    """Then SIGHUP is the end; before that, or under nohup, it isn't."""
    monitor, terminal = on_a_terminal(stand)
    monitor.process.send_signal(signal.SIGHUP)
    monitor.wait_line(b"^monitor: reloaded\n")
    monitor.wait_cycle(lambda c: True, "it goes on", monitor.last_cycle())
    os.close(terminal)
    monitor.end(0)
    monitor, terminal = on_a_terminal(stand, "sh", "-c", 'trap "" HUP; exec "$@"', "sh")
    os.close(terminal)
    monitor.wait_line(b"^monitor: reloaded\n")
    monitor.wait_cycle(lambda c: True, "it goes on", monitor.last_cycle())
    monitor.end(0, signal.SIGTERM)


# --- Brakes ----------------------------------------------------------------------

def test_disarmed_by_hand(stand):
    server = stand.log_server()
    victim = stand.container(1, cpu=0.9)
    stand.engine.on_list = lambda _: (200, b"[]")
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    cycle = monitor.wait_cycle(lambda c: rules(c), "a cycle")
    equal(cycle["mode"], "armed", "mode")
    monitor.process.send_signal(signal.SIGUSR1)
    monitor.wait_line(rb"^monitor: disarmed \(SIGUSR1\)")
    stand.engine.on_list = lambda _: None
    seen = monitor.last_cycle()
    for _ in range(2):
        cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "it goes on observing", seen)
        equal((cycle["mode"], cycle["disarmed_by"], cycle["killed"], of(cycle, victim)["outcome"]),
              ("disarmed", "by hand (SIGUSR1)", 0, "surplus, not removed"), "disarmed")
        seen = cycle["cycle"]
    # Who disarms in a hurry, and once more, does not arm.
    monitor.process.send_signal(signal.SIGUSR1)
    monitor.wait_line(rb"^monitor: SIGUSR1: it is disarmed already: by hand \(SIGUSR1\)$")
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "disarmed still", monitor.last_cycle())
    equal((cycle["mode"], cycle["disarmed_by"]), ("disarmed", "by hand (SIGUSR1)"), "disarmed twice")
    nothing_removed(stand)
    seen = monitor.last_cycle()
    monitor.process.send_signal(signal.SIGUSR2)
    monitor.wait_line(rb"^monitor: armed \(SIGUSR2\)$")
    cycle = monitor.wait_cycle(lambda c: c.get("killed"), "armed again", seen)
    true(cycle["mode"] == "armed" and "disarmed_by" not in cycle, cycle)
    monitor.process.send_signal(signal.SIGUSR2)
    monitor.wait_line(rb"^monitor: SIGUSR2: it is armed already$")
    monitor.end(0, signal.SIGTERM)
    equal(stand.engine.deleted(), [victim.id], "removed")
    equal([r["action"] for r in server.records("logs")], ["killed"], "records")


def ask(stand, command, status=0):
    """One line that is an object, of a monitor that listens."""
    got, out, err = stand.run(command, "--spool", stand.spool, "--json")
    equal((got, err, out.count("\n"), out[-1:]), (status, "", 1, "\n"), f"{command}: {out}")
    return json.loads(out)


def test_disarmed_by_command(stand):
    """Answered when the next start would know it, too."""
    victim = stand.container(1, cpu=0.9)
    stand.engine.on_list = lambda _: (200, b"[]")
    one_line(stand.run("disarm", "--spool", stand.spool), 1, "no monitor listens at", stand.spool)
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    monitor.wait_cycle(lambda c: c["mode"] == "armed", "a cycle")
    answer = ask(stand, "status")
    equal((answer["mode"], answer["why"], answer["pid"]), ("armed", "", monitor.process.pid), "status")
    equal(stand.run("disarm", "--spool", stand.spool), (0, "disarmed: by hand (control socket)\n", ""), "disarm")
    true(not os.path.exists(stand.path("spool/armed")), "the next start would know it")
    monitor.wait_line(rb"^monitor: disarmed \(control socket\)")
    answer = ask(stand, "disarm")
    equal((answer["mode"], answer["why"], answer["durable"]), ("disarmed", "by hand (control socket)", True),
          "disarmed twice")
    stand.engine.on_list = lambda _: None
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a surplus that stays", monitor.last_cycle())
    equal((cycle["mode"], cycle["disarmed_by"], cycle["killed"]), ("disarmed", "by hand (control socket)", 0), "mode")
    nothing_removed(stand)
    equal(stand.run("arm", "--spool", stand.spool), (0, "armed\n", ""), "arm")
    monitor.wait_cycle(lambda c: c.get("killed"), "armed", cycle["cycle"])
    equal(ask(stand, "arm")["mode"], "armed", "armed twice")
    monitor.end(0, signal.SIGTERM)
    equal(stand.engine.deleted(), [victim.id], "removed")
    one_line(stand.run("status", "--spool", stand.spool), 1, "no monitor listens at", stand.spool)


def disarmed_amid(stand, moment):
    """At once: also what is judged already is not carried out."""
    stand.container(1, cpu=0.9)
    told = []

    def tell(_):
        if not told:
            told.append(monitor.process.send_signal(signal.SIGUSR1))

    monitor = stand.monitor("--json", *NOTHING_KEPT)
    monitor.wait_line(rb"^monitor: watching")
    setattr(stand.engine, moment, tell)
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a cycle with surplus")
    true(told, "it was asked")
    equal((cycle["mode"], cycle["killed"]), ("disarmed", 0), "mode and killed")
    monitor.end(0, signal.SIGTERM)
    nothing_removed(stand)


def test_disarmed_in_the_middle_of_a_cycle(stand):
    disarmed_amid(stand, "on_list")


def test_disarmed_after_the_judgement(stand):
    disarmed_amid(stand, "on_inspect")


def test_dry_run_is_never_armed(stand):
    stand.container(1, cpu=0.9)
    monitor = stand.monitor("--json", "--dry-run", *NOTHING_KEPT)
    monitor.wait_cycle(lambda c: c.get("surplus"), "a cycle")
    monitor.process.send_signal(signal.SIGUSR2)
    monitor.wait_line(rb"^monitor: SIGUSR2: it stays a dry run; start it without --dry-run$")
    monitor.process.send_signal(signal.SIGUSR1)
    monitor.wait_line(rb"^monitor: SIGUSR1: a dry run removes nothing in any case$")
    monitor.process.send_signal(signal.SIGUSR2)
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a cycle", monitor.last_cycle())
    equal(cycle["mode"], "dry run", "mode")
    monitor.end(0, signal.SIGTERM)
    nothing_removed(stand)


def test_brake_of_a_cycle(stand):
    """More than that is not done by half: it disarms, says so, and looks on."""
    path = configure(stand, "kills-per-cycle = 2\n")
    containers = [stand.container(n, cpu=0.9) for n in range(3)]
    monitor = stand.monitor("--config", path, *NOTHING_KEPT)
    monitor.wait_line(rb"cycle 2  disarmed: 3 kills in this cycle \(kills-per-cycle 2\)")
    true(re.search(r"^problem .*SIGUSR2 or 'monitor arm' arms it again$", monitor.text(), re.M), monitor.text())
    nothing_removed(stand)
    # The brake is put off by who has seen why.
    configure(stand, "kills-per-cycle = 3\n")
    monitor.process.send_signal(signal.SIGHUP)
    monitor.wait_line(b"^monitor: reloaded\n")
    monitor.process.send_signal(signal.SIGUSR2)
    monitor.wait_line(b"^killed        3 of 3 surplus")
    monitor.end(0, signal.SIGTERM)
    equal(stand.engine.deleted(), sorted(c.id for c in containers), "removed")


def test_disarmed_outlives_the_monitor(stand):
    """However it ends: who starts it again has not seen why, nor armed it."""
    stand.log_server()
    containers = [stand.container(n, cpu=0.9) for n in range(3)]
    options = ("--json", "--kills-per-cycle", "2", *NOTHING_KEPT)
    why = "3 kills in this cycle (kills-per-cycle 2)"
    monitor = stand.monitor(*options)
    cycle = monitor.wait_cycle(lambda c: c["mode"] == "disarmed", "disarmed")
    monitor.process.kill()
    monitor.end(-signal.SIGKILL)
    # A limit that would let them die.
    options = ("--json", "--kills-per-cycle", "3", *NOTHING_KEPT)
    monitor = stand.monitor(*options)
    monitor.wait_line(rb"^monitor: disarmed before this start: 3 kills in this cycle")
    cycle = monitor.wait_cycle(lambda c: c.get("surplus") == 3, "a surplus that stays")
    equal((cycle["mode"], cycle["disarmed_by"], cycle["killed"]), ("disarmed", why, 0), "a cycle")
    # A dry run has nothing to do with it, though it is of the same spool.
    dry = stand.monitor(*options, "--dry-run")
    equal(dry.wait_cycle(lambda c: c.get("surplus"), "a dry run")["mode"], "dry run", "mode")
    true("disarmed" not in dry.text(), dry.text())
    dry.end(0, signal.SIGTERM)
    nothing_removed(stand)
    monitor.process.send_signal(signal.SIGUSR2)
    monitor.wait_cycle(lambda c: c.get("killed") == 3, "armed")
    monitor.end(0, signal.SIGTERM)
    equal(stand.engine.deleted(), sorted(c.id for c in containers), "removed")
    # By hand too; and armed again, that is known as well.
    victim = stand.container(4, cpu=0.9)
    stand.engine.on_list = lambda _: (200, b"[]")
    monitor = stand.monitor(*options)
    monitor.wait_line(rb"^monitor: watching")
    monitor.process.send_signal(signal.SIGUSR1)
    monitor.wait_line(rb"^monitor: disarmed \(SIGUSR1\)")
    monitor.end(0, signal.SIGTERM)
    stand.engine.on_list = lambda _: None
    monitor = stand.monitor(*options)
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a surplus that stays")
    equal((cycle["mode"], cycle["disarmed_by"]), ("disarmed", "by hand (SIGUSR1)"), "by hand")
    true(victim.lives(), "the victim")
    monitor.process.send_signal(signal.SIGUSR2)
    monitor.wait_cycle(lambda c: c.get("killed") == 1, "armed again")
    monitor.process.kill()
    monitor.end(-signal.SIGKILL)
    last = stand.container(5, cpu=0.9)
    monitor = stand.monitor(*options)
    monitor.wait_cycle(lambda c: c.get("killed") == 1, "armed, as it was left")
    true("disarmed" not in monitor.text(), monitor.text())
    monitor.end(0, signal.SIGTERM)
    equal(stand.engine.deleted(), sorted(c.id for c in [*containers, victim, last]), "removed")


def spool_cannot_tell(stand, mark, why):
    stand.container(1, cpu=0.9)
    os.makedirs(stand.path("spool/" + mark))
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    monitor.wait_line(rb"^monitor: disarmed before this start: " + why)
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a surplus that stays")
    equal((cycle["mode"], cycle["killed"]), ("disarmed", 0), "a cycle")
    nothing_removed(stand)
    # Armed by hand, and what it can't have on disk it says.
    monitor.process.send_signal(signal.SIGUSR2)
    monitor.wait_line(rb"^monitor: the next start would not know that it is armed")
    monitor.end(0, signal.SIGTERM)


def test_disarmed_if_the_spool_cannot_tell(stand):
    spool_cannot_tell(stand, "armed", rb"whether it is armed can't be read from the spool: ")


def test_disarmed_if_the_reason_cannot_be_read(stand):
    spool_cannot_tell(stand, "disarmed", rb"by an earlier monitor, which left no reason;")


def fill(path):
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def test_disarmed_though_the_disk_is_full(stand):
    """At once, and on disk: what says that it is armed only has to go."""
    stand.container(1, cpu=0.9)
    stand.engine.on_list = lambda _: (200, b"[]")
    os.mkdir(stand.spool)
    stand.groups.mount("-t", "tmpfs", "-o", "size=256k", "check-monitor", stand.spool)
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    monitor.wait_cycle(lambda c: c["mode"] == "armed", "a cycle")
    fill(stand.path("spool/filler"))
    answer = ask(stand, "disarm")
    equal((answer["mode"], answer["durable"]), ("disarmed", True), "the answer")
    monitor.process.kill()
    monitor.end(-signal.SIGKILL)
    true("would not know" not in monitor.text(), monitor.text())
    # The next one can't write either.
    stand.engine.on_list = lambda _: None
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    monitor.wait_line(rb"^monitor: disarmed before this start: ")
    cycle = monitor.wait_cycle(lambda c: c.get("surplus"), "a surplus that stays")
    equal((cycle["mode"], cycle["killed"]), ("disarmed", 0), "a cycle")
    monitor.end(0, signal.SIGTERM)
    nothing_removed(stand)


def test_disarmed_though_the_spool_cannot_note_it(stand):
    """At once, and told; and as soon as it can be, it is on disk."""
    stand.container(1, cpu=0.9)
    stand.engine.on_list = lambda _: (200, b"[]")
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    monitor.wait_line(rb"^monitor: watching")
    # The mark can't be taken away, and there is something in the way of what is written then.
    armed = stand.path("spool/armed")
    subprocess.run(["mount", "--bind", armed, armed], check=True)
    stand.closing.callback(subprocess.run, ["umount", armed], check=False, stderr=subprocess.DEVNULL)
    os.makedirs(stand.path("spool/disarmed.new"))
    monitor.process.send_signal(signal.SIGUSR1)
    monitor.wait_line(rb"^monitor: the next start would not know that it is disarmed")
    monitor.wait_line(rb"^monitor: disarmed \(SIGUSR1\)")
    monitor.wait_cycle(lambda c: "would not know" in c.get("trouble", ""), "a report that tells it")
    equal(ask(stand, "disarm", 1)["durable"], False, "the answer")
    # Also while nothing is seen.
    stand.module.hold("")
    monitor.wait_cycle(lambda c: "containers" not in c, "no sight", monitor.last_cycle())
    true(os.path.exists(armed), "the mark is still there")
    subprocess.run(["umount", armed], check=True)
    os.rmdir(stand.path("spool/disarmed.new"))
    monitor.wait_cycle(lambda c: not os.path.exists(armed) and os.path.exists(stand.path("spool/disarmed")),
                       "the mark", monitor.last_cycle())
    monitor.process.kill()
    monitor.end(-signal.SIGKILL)
    stand.module.hold(None)
    monitor = stand.monitor("--json", *NOTHING_KEPT)
    monitor.wait_line(rb"^monitor: disarmed before this start: by hand \(SIGUSR1\)")
    monitor.end(0, signal.SIGTERM)
    nothing_removed(stand)


def test_brake_of_an_hour(stand):
    first = [stand.container(n, cpu=0.9, listed={"Image": f"image-{n}"}) for n in range(2)]
    monitor = stand.monitor("--json", "--kills-per-hour", "3", *NOTHING_KEPT)
    monitor.wait_cycle(lambda c: c.get("killed") == 2, "two")
    stand.container(11, cpu=0.9)
    stand.container(12, cpu=0.9)
    cycle = monitor.wait_cycle(lambda c: c["mode"] == "disarmed", "disarmed")
    equal((cycle["disarmed_by"], cycle["killed"]), ("4 kills within an hour (kills-per-hour 3)", 0), "why")
    monitor.end(0, signal.SIGTERM)
    equal(stand.engine.deleted(), sorted(c.id for c in first), "removed")


def test_brake_of_an_image(stand):
    victim = stand.container(1, cpu=0.9, listed={"Image": "a"})
    other = stand.container(2, cpu=0.9, listed={"Image": "\x1b[31mb"})
    monitor = stand.monitor("--json", "--kills-per-image", "1", *NOTHING_KEPT)
    monitor.wait_cycle(lambda c: c.get("killed") == 2, "one of each")
    stand.container(3, cpu=0.9, listed={"Image": "\x1b[31mb"})
    cycle = monitor.wait_cycle(lambda c: c["mode"] == "disarmed", "disarmed")
    equal(cycle["disarmed_by"],
          "2 kills of the image \\x1b[31mb within an hour (kills-per-image 1)", "why")
    monitor.end(0, signal.SIGTERM)
    equal(stand.engine.deleted(), sorted(c.id for c in (victim, other)), "removed")


def test_second_monitor(stand):
    """Also with a spool of its own, and as another user: one that kills for each runtime."""
    first = stand.monitor("--json")
    first.wait_cycle(lambda c: True, "a cycle")
    other = ["--spool", stand.path("spool-2")]
    alias = stand.path("alias.sock")
    os.symlink(stand.engine.server_address, alias)
    one_line(stand.run(*stand.options(), "--no-generator", *other, "--runtime-socket", alias), 1,
             "another monitor removes containers for the runtime at", alias, "--dry-run")
    os.chmod(stand.engine.server_address, 0o666)
    program = shutil.copy(MONITOR, stand.path("monitor"))
    os.mkdir(stand.path("home"))
    os.chown(stand.path("home"), 65534, 65534)
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    one_line(stand.run(*stand.options(), "--no-generator", "--spool", stand.path("home/spool"),
                       wrap=nobody, program=program), 1, "root's monitor removes containers for the runtime at")
    # Who only looks is welcome, and the place is free as soon as the first is dead.
    stand.run(*stand.options(), "--no-generator", *other, "--dry-run", "--cycles", "1")
    first.end(-signal.SIGKILL, signal.SIGKILL)
    stand.spool = other[1]
    stand.monitor("--json", "--cycles", "1").end(0)


# --- Who is meant ----------------------------------------------------------------

def test_scope_and_protect(stand):
    inside = stand.container(1, cpu=0.9, listed={"Labels": {"team": "web", "x": "y"}})
    by_name = stand.container(2, cpu=0.9, listed={"Names": ["/web-2"]})
    outside = stand.container(3, cpu=0.9, listed={"Labels": {"team": "webs"}})
    spared = stand.container(4, cpu=0.9, listed={"Names": ["/web-db"], "Image": "registry/db:4"})
    large = stand.container(5, cpu=0.9, listed={"Labels": {"a": "b" * 20000}})
    # Its tag is another image's by now; a container that is linked to it calls it so.
    retagged = stand.container(6, cpu=0.9, listed={"Names": ["/web-old"], "Image": "sha256:" + "ab" * 32})
    linked = stand.container(7, cpu=0.9, listed={"Names": ["/app/web-1", "/solo"]})
    path = configure(stand, "scope = label:team=web\nscope = name:web-*\nprotect = image:*/db:*\n")
    monitor = stand.monitor("--json", "--cycles", "2", "--config", path, *NOTHING_KEPT).end(0)
    first = monitor.cycles()[0]
    equal(rules(first), {
        inside.id: "surplus", by_name.id: "surplus", outside.id: "not governed by the policy",
        spared.id: "protected by the policy", large.id: NOT_WHOLE, retagged.id: NOT_WHOLE,
        linked.id: "not governed by the policy"}, "rules")
    equal((of(first, spared)["why"], of(first, spared)["source"]),
          ("protect = image:*/db:*", "policy"), "why")
    equal(stand.engine.deleted(), sorted(c.id for c in (inside, by_name)), "removed")
    equal([c.lives() for c in (outside, spared, large, retagged, linked)], [True] * 5,
          "the others live")


def test_young_ones_stay(stand):
    old, young = stand.container(1, cpu=0.9), stand.container(2, cpu=0.9)
    # A minute old by the stand.
    young.start_us += 50_000_000
    young.fields["StartTimeUs"] = young.start_us
    monitor = stand.monitor("--json", "--cycles", "1", "--min-age", "30", *NOTHING_KEPT).end(0)
    equal(rules(monitor.cycles()[0]), {old.id: "surplus", young.id: "below the minimum age"}, "rules")
    equal((stand.engine.deleted(), young.lives()), ([old.id], True), "removed")


def test_window_of_several_cycles(stand):
    """Nobody is judged before it is over, and a burst within it counts by its share."""
    burst = stand.container(1, cpu=0.3)
    monitor = stand.monitor("--json", "--window", "3", "--keep-high", "0")
    cycle = monitor.wait_cycle(lambda c: c["cycle"] == 2 and rules(c), "the second cycle")
    equal((of(cycle, burst)["rule"], of(cycle, burst)["why"]),
          ("new: not seen for a whole window", "new: not seen for a whole window: 2 of its cycles"), "new")
    nothing_removed(stand)
    cycle = monitor.wait_cycle(lambda c: c.get("killed"), "the third")
    equal((cycle["cycle"], of(cycle, burst)["window_cycles"]), (3, 3), "cycle and window")
    true(25 < of(cycle, burst)["cpu"] < 35, cycle)
    monitor.end(0, signal.SIGTERM)


def test_hysteresis(stand):
    at_the_line = stand.container(1, memory_mib=110)

    def set_memory(mib):
        with open(at_the_line.folder + "/memory.current", "w") as file:
            file.write(f"{mib << 20}\n")

    monitor = stand.monitor("--json", "--hysteresis", "20", "--dry-run")
    monitor.wait_cycle(lambda c: rules(c) and of(c, at_the_line)["class"] == "high", "high")
    set_memory(81)
    cycle = monitor.wait_cycle(lambda c: of(c, at_the_line)["memory"] == 81 << 20, "below the line")
    equal((of(cycle, at_the_line)["class"], of(cycle, at_the_line)["memory_line"]),
          ("high", 80 << 20), "still high")
    true("hysteresis" in of(cycle, at_the_line)["why"], cycle)
    set_memory(79)
    cycle = monitor.wait_cycle(lambda c: of(c, at_the_line)["memory"] == 79 << 20, "well below it")
    equal(of(cycle, at_the_line)["class"], "low", "low")
    set_memory(99)
    cycle = monitor.wait_cycle(lambda c: of(c, at_the_line)["memory"] == 99 << 20, "up again")
    equal((of(cycle, at_the_line)["class"], of(cycle, at_the_line)["memory_distance"]),
          ("low", -1 << 20), "still low")
    monitor.end(0, signal.SIGTERM)


def test_working_set(stand):
    """What is only page cache condemns nobody; what can't be read, neither."""
    cache, own, blind = (stand.container(n, memory_mib=200) for n in range(3))
    for container, mib in ((cache, 150), (own, 10)):
        with open(container.folder + "/memory.stat", "w") as file:
            file.write(f"anon 4096\ninactive_file {mib << 20}\nslab 1\n")
    stand.module.write()
    by_current = stand.run(*stand.options(), "explain", "--json")
    status, out, err = stand.run("explain", *stand.options(), "--json")
    equal((by_current[0], status, err), (2, 0, ""), "the command stands first")
    cycle = json.loads(out)
    equal({c["class"] for c in cycle["containers"]}, {"high"}, "by memory.current")
    monitor = stand.monitor("--json", "--cycles", "1", "--memory", "working-set", "--keep-high", "0").end(0)
    cycle = monitor.cycles()[0]
    equal([(of(cycle, c)["class"], of(cycle, c)["memory"] >> 20) for c in (cache, own)],
          [("low", 50), ("high", 190)], "by working set")
    equal(of(cycle, blind)["rule"], "memory.current is not readable", "without memory.stat")
    equal(stand.engine.deleted(), [own.id], "removed")


# --- Why -------------------------------------------------------------------------

def test_explain(stand):
    heavy, heavier = stand.container(1, cpu=0.5), stand.container(2, cpu=0.9, memory_mib=150)
    light = stand.container(3, cpu=0.01)
    stranger = stand.container(4)
    stand.engine.containers.pop()
    # Beside a monitor that runs.
    monitor = stand.monitor("--json", "--cycles", "20", "--keep-high", "2")
    monitor.wait_cycle(lambda c: True, "a cycle")
    status, out, err = stand.run("explain", *stand.options(), "--keep-high", "1")
    equal((status, err), (0, ""), "explain")
    lines = {line[:12]: line for line in out.splitlines()}
    true(re.search(r" 90\.\d+ +\+80\.\d+ +150\.0 +\+50\.0 +high +1 of 1 +keep +module and cgroup +"
                   r"within the quota: high by CPU and memory, rank 1 of the 1 that stay$",
                   lines[heavier.id[:12]]) or "89." in lines[heavier.id[:12]], out)
    true(re.search(r"high +2 of 1 +kill +module +surplus: high by CPU, rank 2 of the 1 that stay$",
                   lines[heavy.id[:12]]), out)
    true(re.search(r" -8\.\d+ +1\.0 +-99\.0 +low +1 of 3 +keep ", lines[light.id[:12]]) or
         re.search(r" -9\.\d+ +1\.0 +-99\.0 +low +1 of 3 +keep ", lines[light.id[:12]]), out)
    true(re.search(r"keep +runtime +not known to the runtime$", lines[stranger.id[:12]]), out)
    true("1 of 4 containers would be removed" in out, out)
    status, out, _ = stand.run("explain", *stand.options(), "--keep-high", "1", "--json")
    cycle = json.loads(out)
    grounds = of(cycle, heavy)
    equal((grounds["verdict"], grounds["rank"], grounds["quota"], grounds["cpu_line"], grounds["memory_line"],
           grounds["source"]), ("kill", 2, 1, 10, 100 << 20, "module"), "grounds")
    monitor.end(0, signal.SIGTERM)
    nothing_removed(stand)


def test_grounds_in_reports_and_records(stand):
    server = stand.log_server()
    kept, victim = stand.container(1, cpu=0.9), stand.container(2, cpu=0.5)
    monitor = stand.monitor("--json", "--cycles", "1", "--keep-high", "1").end(0)
    cycle = monitor.cycles()[0]
    for container, verdict in ((kept, "keep"), (victim, "kill")):
        grounds = of(cycle, container)
        equal((grounds["verdict"], grounds["source"], grounds["cpu_line"]), (verdict, "module", 10), "report")
        true(grounds["cpu_distance"] > 30 and grounds["memory_distance"] == -99 << 20, grounds)
    (record,) = server.records("logs")
    for key in ("rank", "quota", "cpu_line", "cpu_distance", "memory_line", "memory_distance",
                "source", "why", "memory", "window_cycles"):
        equal(record[key], of(cycle, victim)[key], key)


def test_rank_has_no_lines(stand):
    for number in range(3):
        stand.container(number, cpu=0.1 * number)
    stand.module.write()
    status, out, _ = stand.run("explain", *stand.options(), "--classifier", "rank", "--json")
    cycle = json.loads(out)
    equal((status, [c["class"] for c in cycle["containers"]]), (0, ["high", "low", "low"]), "classes")
    true(all("cpu_line" not in c for c in cycle["containers"]), "lines")
    true("of the heavier half" in cycle["containers"][0]["why"], cycle)
    equal(cycle["containers"][0]["id"], container_id(2), "the heaviest")


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
