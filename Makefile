# SPDX-License-Identifier: GPL-2.0
# The two commands: `make demo` and `make check`. `make help` lists the rest.
# Every room has a rules.mk; all that is built lands in $(O), but for the two
# files a person runs: ./sysinfo.ko and ./monitor.

O ?= build
V ?= 0

ifeq ($(V),1)
  Q :=
  msg :=
else
  Q := @
  msg = @printf '  %-8s %s\n' '$(1)' '$(patsubst $(CURDIR)/%,%,$(2))';
  MAKEFLAGS += --no-print-directory
endif

# make has a CC of its own, which ?= would keep.
ifeq ($(origin CC),default)
  CC := gcc
endif
CLANG ?= clang
WARN := -Wall -Wextra -Wshadow -Wmissing-prototypes -Werror
CFLAGS ?= -O2 -g
# Kept apart from CFLAGS so that a packager's CFLAGS never lose the standard.
BASE_CFLAGS := -std=gnu11 $(WARN) -D_GNU_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -I. -MMD -MP
SAN_CFLAGS := -std=gnu11 -g -O1 -D_GNU_SOURCE -I. -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all

# Filled in by the rooms.
ALL :=       # what `make` builds
SUITES :=    # programs that print TAP, run by `make check`, in this order
FUZZERS :=   # libFuzzer programs, run by `make fuzz`
BENCHES :=   # programs run by `make bench`

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PRECIOUS: $(O)/%.o
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

include kmod/rules.mk bpf/rules.mk userspace/rules.mk logserver/rules.mk compose/rules.mk tests/rules.mk

all: $(ALL)

# One object rule for all C of user space; a room adds to its objects' flags
# with a target-specific ROOM_CFLAGS.
$(O)/%.o: %.c
	$(call msg,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE_CFLAGS) $(CFLAGS) $(ROOM_CFLAGS) -c -o $@ $<

# A unit test is one file, the objects under test, and cmocka:
#   $(O)/tests/unit/test_x: $(O)/kmod/x.o
# with its name added to SUITES.
$(O)/tests/unit/%: $(O)/tests/unit/%.o
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(UNIT_LIBS) -lcmocka

# A fuzzer is one file and the sources under test, built with the sanitizers:
#   $(O)/tests/fuzz/fuzz_x: kmod/x.c
# with its name added to FUZZERS; its corpus is tests/fuzz/corpus/x/.
$(O)/tests/fuzz/%: tests/fuzz/%.c
	$(call msg,FUZZ,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(SAN_CFLAGS) -fsanitize=fuzzer -o $@ $(filter %.c,$^) $(FUZZ_LIBS)

deps:
	@tests/deps

clean:
	$(call msg,CLEAN,$(O))
	$(Q)rm -rf $(O) monitor sysinfo.ko

help:
	@sed -n 's/^#: //p' Makefile */rules.mk

-include $(shell find $(O) -name '*.d' 2>/dev/null)

#: make            build ./sysinfo.ko, ./monitor, the log server, the workloads
#: make deps       install what is missing from Debian's packages
#: make clean      remove what was built (the lab's cache stays)
.PHONY: all deps clean help
