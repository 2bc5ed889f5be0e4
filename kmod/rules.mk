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

#: make lint       checkpatch.pl --strict, sparse and Coccinelle over the module
# A room adds to it by depending on a target of its own: `lint: lint-x`.
.PHONY: lint lint-kmod
lint: lint-kmod
lint-kmod:
	$(call msg,LINT,kmod)
	$(Q)tests/kmod/lint $(abspath $(O))

#: make check-dkms the module installed by DKMS, and rebuilt by a kernel upgrade (minutes, downloads)
.PHONY: check-dkms
check-dkms:
	$(Q)tests/kmod/dkms $(O)
