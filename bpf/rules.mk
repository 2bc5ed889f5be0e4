# SPDX-License-Identifier: GPL-2.0
# One object for all kernels (CO-RE), and its skeleton for userspace/io/witness.c.

# Debian has it in /usr/sbin, which a plain user's PATH lacks.
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
# v3: kernels have it since 5.1; 32-bit compares save instructions at every switch.
BPF_CFLAGS := -target bpf -mcpu=v3 -O2 -g -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Werror -I.
BPF_SKEL := $(O)/bpf/witness.skel.h

ALL += $(BPF_SKEL)

$(O)/%.bpf.o: %.bpf.c
	$(call msg,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<

$(O)/%.skel.h: $(O)/%.bpf.o
	$(call msg,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $(notdir $*)_bpf > $@

$(O)/userspace/io/witness.o: $(BPF_SKEL)
$(O)/userspace/io/witness.o: ROOM_CFLAGS += -I$(O)

$(O)/tests/witness/bench_witness.o: $(O)/tests/bench/bpf/empty.skel.h
$(O)/tests/witness/bench_witness.o: ROOM_CFLAGS += -I$(O)

# Static: the very binary that ran here also runs in a bare guest.
WITNESS_PROGRAMS := $(O)/tests/witness/test_witness $(O)/tests/witness/test_books \
	$(O)/tests/witness/bench_witness
$(O)/tests/witness/test_books: $(O)/userspace/core/ledger.o $(O)/userspace/core/ledger_close.o \
	$(O)/userspace/core/reconcile.o \
	$(O)/userspace/core/model.o $(O)/userspace/io/cgroup_read.o $(O)/userspace/io/file.o
$(WITNESS_PROGRAMS): %: %.o $(O)/tests/witness/bed.o $(O)/userspace/io/witness.o
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -static -o $@ $^ -lbpf -lelf -lz -lpthread

# Root and the lab: see the script.
$(O)/tests/witness/suite: tests/witness/suite $(O)/tests/witness/test_witness $(O)/tests/witness/test_books \
		monitor $(O)/kmod/6.1/sysinfo.ko guest-6.1
	$(call msg,COPY,$@)
	$(Q)printf '#!/bin/sh\nexec $(CURDIR)/tests/witness/suite $(abspath $(O)) "$$@"\n' > $@
	$(Q)chmod +x $@

SUITES += $(O)/tests/witness/suite
#: make bench-bpf  what the witness costs, beside other tools: by the clock, and counted in the lab
.PHONY: bench-bpf
bench-bpf: $(O)/tests/witness/bench_witness
	@tests/bench/bpf/run $<
