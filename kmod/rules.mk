# SPDX-License-Identifier: GPL-2.0
# The module is built in $(O)/kmod/<kernel>/, from links to the sources: kbuild
# puts what it makes next to them. <kernel> is one of the lab's, or KDIR's release.

KDIR ?= /lib/modules/$(shell uname -r)/build
KMOD_SOURCES := $(wildcard kmod/*.c kmod/*.h) kmod/Kbuild

# The newest headers of a kernel series that are installed.
kmod_headers = $(lastword $(shell printf '%s\n' /usr/src/linux-headers-$(1).*-cloud-amd64 | sort -V))

# Type data for a module needs the kernel's uncompressed image, which headers
# don't come with; without this, kbuild says so each time.
kmod_build = $(Q)mkdir -p $(@D) && \
	ln -sf $(addprefix $(CURDIR)/,$(KMOD_SOURCES)) $(@D)/ && \
	$(MAKE) $(if $(Q),-s) -C $(1) M=$(abspath $(@D)) CONFIG_DEBUG_INFO_BTF_MODULES= $(2) modules

# Here any warning is an error; with other kernels and compilers, people decide.
$(O)/kmod/6.1/sysinfo.ko $(O)/kmod/6.12/sysinfo.ko: $(O)/kmod/%/sysinfo.ko: $(KMOD_SOURCES)
	$(call msg,KMOD,$@)
	+$(call kmod_build,$(call kmod_headers,$*),W=1 KCFLAGS=-Werror)

# The torture kernel is the lab's own: its build makes what modules are built with.
.PHONY: torture-kernel
torture-kernel:
	+$(Q)tests/lab/lab build --kernel torture --bare

$(O)/kmod/torture/sysinfo.ko: $(KMOD_SOURCES) tests/torture/kernel.config | torture-kernel
	$(call msg,KMOD,$@)
	+$(call kmod_build,$$(tests/lab/lab headers torture),W=1 KCFLAGS=-Werror)

# Phony, as another KDIR means another module, whatever their dates.
.PHONY: sysinfo.ko
KMOD_RELEASE := $(wildcard $(KDIR)/include/config/kernel.release)
ifneq ($(KMOD_RELEASE),)
KMOD_RELEASE := $(shell cat $(KMOD_RELEASE))
$(O)/kmod/$(KMOD_RELEASE)/sysinfo.ko: $(KMOD_SOURCES)
	$(call msg,KMOD,$@)
	+$(call kmod_build,$(KDIR))

sysinfo.ko: $(O)/kmod/$(KMOD_RELEASE)/sysinfo.ko
	$(Q)cmp -s $< $@ || cp $< $@
else
sysinfo.ko:
	@echo '  KMOD     no sysinfo.ko: $(KDIR) has no kernel headers; install those of the' \
		'kernel it is for and say KDIR=/usr/src/linux-headers-<release>'
endif

ALL += sysinfo.ko

$(O)/tests/unit/test_container_id: $(O)/tests/unit/test_container_id.o
$(O)/tests/unit/test_json_writer: $(O)/kmod/json_writer.o
$(O)/tests/fuzz/fuzz_container_id: kmod/container_id.h
$(O)/tests/fuzz/fuzz_json_writer: kmod/json_writer.c kmod/json_writer.h
$(O)/tests/fuzz/fuzz_json_writer: FUZZ_LIBS := -lcjson
SUITES += $(O)/tests/unit/test_container_id $(O)/tests/unit/test_json_writer
FUZZERS += $(O)/tests/fuzz/fuzz_container_id $(O)/tests/fuzz/fuzz_json_writer

# The checker runs in a guest that has no libraries.
KMOD_CHECK := $(patsubst %.c,$(O)/%.o,$(wildcard tests/kmod/*.c))

$(O)/tests/kmod/check: $(KMOD_CHECK)
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -static -o $@ $^ -ljson-c -lpthread

# Phony, or make takes what it needs for leftovers that may be missing (.SECONDARY).
.PHONY: tests/kmod/suite
tests/kmod/suite: $(O)/tests/kmod/check $(O)/kmod/6.1/sysinfo.ko $(O)/kmod/6.12/sysinfo.ko
SUITES += tests/kmod/suite

KMOD_TORTURE := $(patsubst %.c,$(O)/%.o,$(wildcard tests/torture/*.c)) \
	$(addprefix $(O)/tests/kmod/,document.o procfs.o subject.o tap.o)

$(O)/tests/torture/torture: $(KMOD_TORTURE)
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -static -o $@ $^ -ljson-c -lpthread

.PHONY: tests/torture/suite
tests/torture/suite: $(O)/tests/torture/torture $(O)/kmod/torture/sysinfo.ko
SUITES += tests/torture/suite

#: make torture    the module against storms until a million snapshots (hours in emulation;
#:                 TORTURE_SECONDS=, TORTURE_SNAPSHOTS=); a short run of it is in `make check`
TORTURE_SECONDS ?= 36000
TORTURE_SNAPSHOTS ?= 1000000
.PHONY: torture
torture: tests/torture/suite
	$(Q)tests/torture/suite $(O) $(TORTURE_SECONDS) $(TORTURE_SNAPSHOTS)

#: make lint       checkpatch.pl --strict, sparse and Coccinelle over the module
# A room adds to it by depending on a target of its own: `lint: lint-x`.
.PHONY: lint lint-kmod
lint: lint-kmod
lint-kmod:
	$(call msg,LINT,kmod)
	$(Q)tests/kmod/lint $(abspath $(O))

# The benchmark, with a task iterator of BPF among the rivals.
BENCH_KMOD := $(O)/tests/bench/kmod
BENCH_KMOD_OBJS := $(patsubst %.c,$(O)/%.o,$(filter-out %.bpf.c,$(wildcard tests/bench/kmod/*.c)))

$(BENCH_KMOD)/tasks.bpf.o: tests/bench/kmod/tasks.bpf.c tests/bench/kmod/tasks.h
	$(call msg,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c -o $@ $<

$(BENCH_KMOD)/tasks.skel.h: $(BENCH_KMOD)/tasks.bpf.o
	$(call msg,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name tasks_bpf > $@

$(BENCH_KMOD)/reader_bpf.o: $(BENCH_KMOD)/tasks.skel.h
$(BENCH_KMOD)/reader_bpf.o: ROOM_CFLAGS += -I$(O)

$(BENCH_KMOD)/bench: $(BENCH_KMOD_OBJS)
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lproc2 -lbpf

#: make bench-kmod the module against procfs, ps, libproc2 and BPF, as kmod/BENCHMARK.md has it:
#:                 by counted instructions, then by the clock (best with nothing else to do)
BENCH_KMOD_KERNEL ?= 6.12
BENCH_KMOD_ROUNDS ?= 3
BENCH_KMOD_PROCESSES ?= 100 1000 4000 20000
.PHONY: bench-kmod
bench-kmod: $(BENCH_KMOD)/bench $(O)/kmod/$(BENCH_KMOD_KERNEL)/sysinfo.ko
	$(Q)for way in counted clock; do \
		tests/bench/kmod/run $$way $(O) $(BENCH_KMOD_KERNEL) $(BENCH_KMOD_ROUNDS) \
			$(BENCH_KMOD_PROCESSES) || exit; \
	done

#: make check-dkms the module installed by DKMS, and rebuilt by a kernel upgrade (minutes, downloads)
.PHONY: check-dkms
check-dkms:
	$(Q)tests/kmod/dkms $(O)
