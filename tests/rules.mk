# SPDX-License-Identifier: GPL-2.0
# The commands that run things: demo, check, fuzz, bench.

# What the product's whole job needs in a guest.
LOOP_INPUTS := monitor $(O)/images.tar

# Phony: whether a guest is there, the lab knows.
.PHONY: guest-6.1 guest-6.12
guest-6.1 guest-6.12: guest-%:
	@tests/lab/lab build --kernel $*

.PHONY: $(O)/tests/loop/suite
$(O)/tests/loop/suite: $(LOOP_INPUTS) $(O)/kmod/6.1/sysinfo.ko $(O)/kmod/6.12/sysinfo.ko guest-6.1 guest-6.12
	@mkdir -p $(@D)
	$(Q)printf '#!/bin/sh\nexec tests/loop/suite $(O)\n' > $@ && chmod +x $@
SUITES += tests/lab/suite $(O)/tests/loop/suite

# Kills on real containers.
.PHONY: $(O)/tests/kill/suite
$(O)/tests/kill/suite: monitor $(O)/kmod/6.1/sysinfo.ko guest-6.1
	@mkdir -p $(@D)
	$(Q)printf '#!/bin/sh\nexec tests/kill/suite $(O)\n' > $@ && chmod +x $@
# The monitor in a container, beside another one, beside what hangs.
.PHONY: $(O)/tests/kill/outside
$(O)/tests/kill/outside: monitor $(O)/kmod/6.1/sysinfo.ko guest-6.1
	@mkdir -p $(@D)
	$(Q)printf '#!/bin/sh\nexec tests/kill/suite $(O) 6.1 outside.py\n' > $@ && chmod +x $@
SUITES += $(O)/tests/kill/suite $(O)/tests/kill/outside

# The protocol of a kill, searched: two minutes of it.
$(O)/tests/model/suite: tests/model/suite
	@mkdir -p $(@D)
	$(Q)printf '#!/bin/sh\nexec tests/model/suite $(O)\n' > $@ && chmod +x $@
SUITES += $(O)/tests/model/suite

#: make model      the protocol of a kill searched in full, and each rule of it left out
.PHONY: model
model:
	@tests/deps
	@tests/model/full $(O)

#: make bench-kill ten containers killed by the monitor and by Docker's own means, side by side
.PHONY: bench-kill
bench-kill: monitor $(O)/kmod/6.1/sysinfo.ko $(O)/compose/workload/idle guest-6.1
	@tests/kill/bench $(O)

#: make demo       the main job in a disposable machine; leaves pictures and logs in out/
.PHONY: demo demo-inputs
demo:
	@tests/deps
	@$(MAKE) -j2 demo-inputs
	@tests/loop/demo $(O)
demo-inputs: $(LOOP_INPUTS) $(O)/kmod/6.1/sysinfo.ko guest-6.1

#: make check      all tests
.PHONY: check check-inputs
check:
	@tests/deps
	@$(MAKE) -j2 check-inputs
	@tests/run $(O)/check $(SUITES)
check-inputs: all $(SUITES)

#: make fuzz       all fuzzers, FUZZ_SECONDS (60) each
FUZZ_SECONDS ?= 60
.PHONY: fuzz
fuzz: $(FUZZERS)
	$(Q)for fuzzer in $(FUZZERS); do \
		name=$${fuzzer##*/fuzz_}; \
		echo "  FUZZ     $$name for $(FUZZ_SECONDS) s"; \
		mkdir -p $(O)/fuzz/$$name; \
		$$fuzzer -max_total_time=$(FUZZ_SECONDS) -print_final_stats=0 -verbosity=0 \
			-artifact_prefix=$(O)/fuzz/$$name- $(O)/fuzz/$$name \
			tests/fuzz/corpus/$$name || exit; \
	done

#: make bench      all benchmarks
.PHONY: bench
bench: $(BENCHES)
	$(Q)for bench in $(BENCHES); do $$bench || exit; done
