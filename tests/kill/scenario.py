#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Kills on real containers, in a guest with Docker: first with the witness, then without,
the same assertions where both can know. Who dies dies, who is innocent lives, and each
death has its cause. Found in /lab: sysinfo.ko, monitor. Prints TAP."""

import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse

sys.dont_write_bytecode = True
from guest import (Monitor, create, done, engine, group, import_image, main_pid, populated, records,
                   start, wait_until)

PROTECT = {"sysinfo.protect": "true"}
SLEEP = ["sleep", "10000"]
AT_USR1 = ["sh", "-c", 'trap "$1" USR1; while :; do sleep 1; done', "sh"]
DOOR = 8009
count = failed = 0


def check(what, good, detail=""):
    global count, failed
    count += 1
    print(f"{'ok' if good else 'not ok'} {count} - {what}", flush=True)
    if not good:
        failed += 1
        for line in str(detail).splitlines()[:20]:
            print("# " + line[:2000], flush=True)


class Phase:
    def __init__(self, name, flag):
        self.name, self.flag, self.ids = name, flag, {}

    def add(self, name, command=None, host=None, labels=None, **config):
        self.ids[name] = create(f"{self.name}-{name}", "box", command or SLEEP, host,
                                Labels=labels or {}, **config)

    def start(self):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(start, self.ids.values()))
        for name, container in self.ids.items():
            wait_until(lambda container=container: populated(group(container)), f"{name} runs")

    def check(self, what, good, detail=""):
        check(f"{self.name}: {what}", good, detail)

    def outcome(self, cycles, name):
        """The last one that tells of an act."""
        for cycle in reversed(cycles):
            for container in cycle.get("containers", []):
                if container["id"] == self.ids[name] and container["verdict"] == "kill":
                    return container["outcome"]
        return "it was never surplus"

    def rule(self, cycle, name):
        return next((c["rule"] for c in cycle.get("containers", []) if c["id"] == self.ids[name]), None)

    def died(self, cycles):
        return {d["id"]: d for c in cycles for d in c.get("died", [])}


def below(container):
    """One of its processes, moved into a group below its own, as an init system inside does."""
    folder = group(container) + "/inner/most"
    os.makedirs(folder)
    with open(group(container) + "/cgroup.procs") as file:
        pids = file.read().split()
    child = next(p for p in pids if int(p) != main_pid(container))
    with open(folder + "/cgroup.procs", "w") as file:
        file.write(child)


def frozen_file_system():
    """A write to it sits in the kernel, which no signal gets out, until it is thawed."""
    os.makedirs("/lab/frozen", exist_ok=True)
    subprocess.run(["modprobe", "loop"], check=False)
    with open("/lab/frozen.img", "wb") as file:
        file.truncate(4 << 20)
    subprocess.run(["mke2fs", "-q", "-F", "/lab/frozen.img"], check=True)
    subprocess.run(["mount", "-o", "loop", "/lab/frozen.img", "/lab/frozen"], check=True)


def console_level(level):
    """The kernel tells of an OOM kill with a call trace, which the lab takes for a fault."""
    with open("/proc/sys/kernel/printk", "w") as file:
        file.write(str(level))


def complaints():
    """What the kernel said meanwhile, less that."""
    said = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout
    return [line for line in said.splitlines() if any(word in line for word in (
        "WARNING:", "BUG:", "Oops", "INFO: task", "INFO: rcu", "general protection fault", "refcount_t:"))]


def storm():
    """Few pids, used again and again: those of the dead are somebody else's at once."""
    highest = max(int(p) for p in os.listdir("/proc") if p.isdigit())
    with open("/proc/sys/kernel/pid_max", "w") as file:
        file.write(str(max(highest + 200, 1000)))


def victims_and_innocents(phase, full):
    phase.add("restarts", host={"RestartPolicy": {"Name": "always"}})
    phase.add("nested", ["sh", "-c", "sleep 10000 & exec sleep 10000"])
    phase.add("keeper", labels=PROTECT)
    phase.add("oomer", [*AT_USR1, "exec dd if=/dev/zero of=/dev/null bs=64M count=1"], {"Memory": 8 << 20, "MemorySwap": 8 << 20}, PROTECT)
    phase.add("exiter", [*AT_USR1, "exit 137"], labels=PROTECT)
    phase.add("shot", labels=PROTECT)
    if full:
        phase.add("door", host={"NetworkMode": "bridge", "PortBindings": {
            "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(DOOR)}]}}, ExposedPorts={"80/tcp": {}})
        phase.add("dressed", labels={"sysinfo.role": "logserver"})
        phase.add("frozen")
        phase.add("paused")
        phase.add("stuck", ["touch", "/frozen/file"], {"Binds": ["/lab/frozen:/frozen"]})
        # Slow, so that the others have some of an emulated machine.
        phase.add("storm", ["sh", "-c", "while :; do /bin/busybox true; done"], {"NanoCpus": 150000000}, PROTECT)


def run(phase, full):
    if full:
        subprocess.run(["fsfreeze", "--freeze", "/lab/frozen"], check=True)
    phase.start()
    below(phase.ids["nested"])
    if full:
        with open(group(phase.ids["frozen"]) + "/cgroup.freeze", "w") as file:
            file.write("1")
        done("POST", f"/containers/{phase.ids['paused']}/pause")
        storm()
    monitor = Monitor(phase.flag, "--interval", "8", "--keep-high", "0", "--keep-low", "0",
                      "--spool", f"/lab/spool-{phase.name}", "--server", f"http://127.0.0.1:{DOOR}")
    act = monitor.wait_cycle(lambda c: c.get("killed"), "they are killed")
    # Not by the monitor's hand, and all of them were seen.
    for name, number in (("oomer", signal.SIGUSR1), ("exiter", signal.SIGUSR1), ("shot", signal.SIGKILL)):
        os.kill(main_pid(phase.ids[name]), number)
    if full:
        later = monitor.wait_cycle(lambda c: phase.rule(c, "stuck") == "its kill is not over yet",
                                   "the stuck one is waited for")
        phase.check("a process in the kernel holds up nobody, and is waited for", later["cycle"] > act["cycle"])
        subprocess.run(["fsfreeze", "--unfreeze", "/lab/frozen"], check=True)
        monitor.wait_cycle(lambda c: "containers" in c and phase.rule(c, "stuck") is None, "the stuck one is gone")
    monitor.wait_for(lambda: len(phase.died(monitor.cycles())) >= 3, "three ends are told")
    monitor.end()
    return monitor.cycles()


def runtime_saw_oom(container):
    """Its own word, which it does not always have: without a witness no one knows better."""
    _, events = engine("GET", f"/events?since=0&until={int(time.time())}&filters=" + urllib.parse.quote(
        json.dumps({"container": [container], "event": ["oom"]})))
    return bool(events)


def judge(phase, cycles, full):
    written = {}
    for record in records(f"/lab/spool-{phase.name}"):
        written.setdefault(record.get("container_id"), []).append(record)
    running = {c["Id"]: c["State"] for c in engine("GET", "/containers/json?all=true")[1]}
    witness = phase.flag == "--bpf"
    killed = "killed and verified" if witness else "killed, not verified"
    victims = ["restarts", "nested"] + (["dressed"] if full else [])
    innocents = ["keeper"] + (["door", "paused", "frozen", "storm"] if full else [])
    for name in victims:
        told = phase.outcome(cycles, name)
        phase.check(f"{name}: {killed}", told.startswith(killed + ": cgroup.kill") and
                    "populated right before, empty after" in told, told)
        phase.check(f"{name}: it is gone, also to the runtime", phase.ids[name] not in running and
                    not populated(group(phase.ids[name])), running)
        (record, *more) = written.get(phase.ids[name], [{}])
        phase.check(f"{name}: one record, of a kill by SIGKILL", not more and record.get("action") == "killed" and
                    record.get("signal") == signal.SIGKILL and record.get("verified") is witness and
                    record.get("seen_by") == ("witness" if witness else "cgroup"), (record, more))
        phase.check(f"{name}: its memory came back", record.get("memory_freed", 0) > 0, record)
        if phase.flag == "--bpf":
            phase.check(f"{name}: the witness saw each of its processes die",
                        record.get("processes", 0) >= 1 and record.get("processes") == record.get("processes_dead") and
                        "by SIGKILL" in record.get("evidence", ""), record)
    phase.check("restarts: its policy was switched off, and nothing came back under its id",
                "removed by the runtime after" in phase.outcome(cycles, "restarts") and
                "started again" not in phase.outcome(cycles, "restarts"), phase.outcome(cycles, "restarts"))
    for name in innocents:
        phase.check(f"{name}: it lives", populated(group(phase.ids[name])) and
                    running.get(phase.ids[name]) in ("running", "paused"), running)
        phase.check(f"{name}: nothing is recorded of it", phase.ids[name] not in written,
                    written.get(phase.ids[name]))
    if full:
        stuck = written.get(phase.ids["stuck"], [])
        phase.check("stuck: one record, of a kill, once it was dead", [r["action"] for r in stuck] == ["killed"], stuck)
    died = phase.died(cycles)
    oom = witness or runtime_saw_oom(phase.ids["oomer"])
    for name, cause, words in (
            ("oomer", "oom", ("out of memory",)) if oom else ("oomer", "signal", ("not sent by the runtime",)),
            ("exiter", "exit" if witness else "signal", ("status 137",)),
            ("shot", "signal", (f"SIGKILL, sent by process {os.getpid()}",) if witness else
             ("SIGKILL, not sent by the runtime",))):
        told = died.get(phase.ids[name], {})
        phase.check(f"{name}: its cause of death is told ({cause})", told.get("cause") == cause and
                    all(w in told["text"] for w in words), told)
        phase.check(f"{name}: one record, that it died", [(r["action"], r["cause"]) for r in written.get(
            phase.ids[name], [])] == [("died", cause)], written.get(phase.ids[name]))
    phase.check("nobody else is said to have died", set(died) == {phase.ids[n] for n in ("oomer", "exiter", "shot")},
                died)


def main():
    begin = time.monotonic()
    subprocess.run(["insmod", "/lab/sysinfo.ko"], check=True)
    os.makedirs("/lab/box/bin", exist_ok=True)
    subprocess.run(["cp", "/usr/bin/busybox", "/lab/box/bin/busybox"], check=True)
    for name in ("sh", "sleep", "touch", "dd"):
        os.symlink("busybox", f"/lab/box/bin/{name}")
    import_image("box", "/lab/box", "bin", 'CMD ["sleep", "10000"]')
    frozen_file_system()
    console_level(4)
    for number, (name, flag) in enumerate((("bpf", "--bpf"), ("no-bpf", "--no-bpf"))):
        phase = Phase(name, flag)
        victims_and_innocents(phase, full=not number)
        judge(phase, run(phase, full=not number), full=not number)
        for container in phase.ids.values():
            engine("DELETE", f"/containers/{container}?force=true")
        print(f"# {name}: {time.monotonic() - begin:.0f} s by now", flush=True)
    check("the kernel has nothing to complain of", not complaints(), "\n".join(complaints()))
    print(f"1..{count}")
    return 1 if failed else 0


sys.exit(main())
