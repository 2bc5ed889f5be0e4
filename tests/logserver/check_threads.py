#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What happens at the same time in the log server, with ThreadSanitizer watching: those
tests of the other suites in which threads meet. Prints TAP. Usage: check_threads.py"""

import os
import sys

sys.dont_write_bytecode = True
os.environ["LOGSERVER"] = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                       "../../build/logserver/logserver-tsan")
os.environ["LOGSERVER_SANITIZED"] = "1"
os.environ["LOGSERVER_KILLS"] = "2"
os.environ["TSAN_OPTIONS"] = "halt_on_error=1"

import check_http
import check_store
from harness import main

TESTS = {
    check_http: ("sigterm_drains", "our_records_once", "slow_clients_hold_up_nobody", "metrics",
                 "etags", "gzip", "tokens", "tls", "rate", "many_at_once"),
    check_store: ("files_rotate_and_are_compressed", "index_catches_up",
                  "answers_while_the_index_is_made", "cursors",
                  "queries_while_records_come", "retention_by_age", "killed_while_files_rotate"),
}

if __name__ == "__main__":
    sys.exit(main({"test_" + name: getattr(module, "test_" + name)
                   for module, names in TESTS.items() for name in names}))
