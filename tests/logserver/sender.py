#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""A sender with a spool, as a monitor has one, for tests that kill it: makes events, keeps
each on disk until the server has it, sends the oldest first.
Usage: sender.py HOST PORT_FILE SPOOL EVENTS"""

import http.client
import json
import os
import sys
import time

sys.dont_write_bytecode = True
import harness

host, port_file, spool, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])


def waiting():
    return sorted(int(name) for name in os.listdir(spool) if name.isdigit())


def make(number):
    with open(os.path.join(spool, "new"), "w") as file:
        json.dump(harness.kill(number, host=host, event_id=f"{host}:boot:{number}"), file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(os.path.join(spool, "new"), os.path.join(spool, str(number)))


def send(numbers):
    records = []
    for number in numbers:
        with open(os.path.join(spool, str(number))) as file:
            records.append(json.load(file))
    with open(port_file) as file:
        connection = http.client.HTTPConnection("127.0.0.1", int(file.read()), timeout=10)
    connection.request("POST", "/logs", json.dumps(records), {"Content-Type": "application/json"})
    status = connection.getresponse().status
    connection.close()
    if status == 200:
        # The newest last: where it goes on is read from the spool.
        with open(os.path.join(spool, "sent"), "w") as file:
            file.write(str(numbers[-1]))
        for number in numbers:
            os.unlink(os.path.join(spool, str(number)))


def made():
    """How many events were made before, whatever became of the one before this."""
    highest = max(waiting(), default=-1)
    try:
        with open(os.path.join(spool, "sent")) as file:
            highest = max(highest, int(file.read() or -1))
    except FileNotFoundError:
        pass
    return highest + 1


number = made()
while number < count or waiting():
    for _ in range(min(5, count - number)):
        make(number)
        number += 1
    try:
        send(waiting()[:50])
    except (OSError, http.client.HTTPException, ValueError, IndexError):
        time.sleep(0.05)
