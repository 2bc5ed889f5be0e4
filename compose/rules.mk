# SPDX-License-Identifier: GPL-2.0
# The workload's programs, and all container images.

WORKLOADS := cpu memory idle pulse
WORKLOAD_PROGRAMS := $(WORKLOADS:%=$(O)/compose/workload/%)

ALL += $(WORKLOAD_PROGRAMS)

# Static, for images FROM scratch.
$(WORKLOAD_PROGRAMS): %: %.o
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -static -s -o $@ $<

# For this machine's own Docker.
#: make images     build the images of the log server and the workload with Docker
.PHONY: images
images: $(WORKLOAD_PROGRAMS)
	$(Q)for kind in $(WORKLOADS); do \
		docker build -q -t sysinfo/$$kind --target $$kind -f compose/workload/Dockerfile \
			$(O)/compose/workload || exit; \
	done
	$(Q)docker build -t sysinfo/logserver -f logserver/Dockerfile .

# For the lab's guests, without a Docker Engine here.
IMAGE_ARCHIVES := $(WORKLOADS:%=$(O)/images/%.tar) $(O)/images/logserver.tar

$(O)/images.tar: $(IMAGE_ARCHIVES)
	$(call msg,IMAGES,$@)
	$(Q)tests/lab/lab merge $@ $^

$(WORKLOADS:%=$(O)/images/%.tar): $(O)/images/%.tar: $(O)/compose/workload/% compose/workload/Dockerfile
	$(call msg,IMAGE,$@)
	@mkdir -p $(@D)
	$(Q)tests/lab/lab image sysinfo/$* compose/workload/Dockerfile $(O)/compose/workload $@ --target $*

$(O)/images/logserver.tar: $(wildcard logserver/*) Makefile
	$(call msg,IMAGE,$@)
	@mkdir -p $(@D)
	$(Q)tests/lab/lab image sysinfo/logserver logserver/Dockerfile . $@
