# SPDX-License-Identifier: GPL-2.0
# The daemon.  core/ is one static library: the daemon, the unit tests and the fuzzers
# link the same objects.

comma := ,
CORE_SOURCES := $(wildcard userspace/core/*.c)
MONITOR_SOURCES := $(wildcard $(addprefix userspace/,*.c host/*.c collect/*.c runtime/*.c act/*.c \
	deliver/*.c control/*.c workload/*.c io/*.c))
CORE_LIB := $(O)/userspace/core.a
MONITOR_LIBS = $(shell pkg-config --libs libsystemd libcurl libcjson inih libcap-ng libzstd zlib) -lbpf -pthread -lm

ALL += monitor

$(CORE_LIB): $(CORE_SOURCES:%.c=$(O)/%.o)
	$(call msg,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

monitor: $(MONITOR_SOURCES:%.c=$(O)/%.o) $(CORE_LIB)
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(MONITOR_LIBS)

#: make install    ./monitor and its configuration, below DESTDIR; an existing one is kept
PREFIX ?= /usr/local
MONITOR_HOME := $(PREFIX)/lib/sysinfo-monitor
.PHONY: install
install: monitor
	install -D -m 755 monitor $(DESTDIR)$(MONITOR_HOME)/monitor
	install -D -m 755 compose/generate $(DESTDIR)$(MONITOR_HOME)/compose/generate
	install -m 644 compose/docker-compose.yml $(DESTDIR)$(MONITOR_HOME)/compose/
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)/etc/monitor/monitor.conf.d
	ln -sf $(MONITOR_HOME)/monitor $(DESTDIR)$(PREFIX)/sbin/monitor
	[ -e $(DESTDIR)/etc/monitor/monitor.conf ] || \
		install -m 644 userspace/monitor.conf $(DESTDIR)/etc/monitor/monitor.conf

CORE_TESTS := snapshot_parse model scope measure classify decide brake reconcile ledger record receipt \
	death generation comeback escape crontab look words explain corners
CORE_TESTS := $(CORE_TESTS:%=$(O)/tests/unit/test_%)
$(CORE_TESTS): $(CORE_LIB)
$(CORE_TESTS): UNIT_LIBS = -lcjson -lm
SUITES += $(CORE_TESTS)

$(O)/tests/unit/test_config: $(O)/userspace/config.o $(O)/userspace/setting.o $(O)/userspace/io/file.o $(CORE_LIB)
$(O)/tests/unit/test_config: UNIT_LIBS = -linih -lcjson -lm
SUITES += $(O)/tests/unit/test_config

$(O)/tests/unit/test_recording: $(O)/userspace/io/recording.o $(O)/userspace/io/file.o
$(O)/tests/unit/test_recording: UNIT_LIBS = -lzstd -lz
SUITES += $(O)/tests/unit/test_recording

# All of the daemon but its beginning, for tests of its parts.
MONITOR_LIB := $(O)/userspace/monitor.a
$(MONITOR_LIB): $(filter-out $(O)/userspace/main.o,$(MONITOR_SOURCES:%.c=$(O)/%.o))
	$(call msg,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^
PART_TESTS := disk spool queue log_client output process priority lock own_containers log_endpoint \
	runtime_list runtime_inspect cgroup_read
PART_TESTS := $(PART_TESTS:%=$(O)/tests/unit/test_%)
$(PART_TESTS): $(MONITOR_LIB) $(CORE_LIB)
$(PART_TESTS): UNIT_LIBS = $(MONITOR_LIBS)
# Every allocation of the reader's own fails in turn.
$(O)/tests/unit/test_runtime_list: UNIT_LIBS += $(foreach f,malloc calloc realloc reallocarray strdup,-Wl$(comma)--wrap=$f)
SUITES += $(PART_TESTS)

# Natively, with the module and the runtime played by the test.
MONITOR_CHECKS := $(addprefix tests/monitor/check_,monitor.py policy.py recording.py trouble.py kills.py protocol.py \
	stop.py witness.py)
$(MONITOR_CHECKS): monitor $(O)/logserver/logserver
SUITES += $(MONITOR_CHECKS)

# A build of its own that a test ends at any step of an act.
FAULTY := userspace/act/act userspace/act/intents userspace/act/kill userspace/deliver/log_client
$(O)/faults/%.o: %.c
	$(call msg,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE_CFLAGS) $(CFLAGS) -DFAULT_POINTS -c -o $@ $<
$(O)/faults/monitor: $(filter-out $(FAULTY:%=$(O)/%.o),$(MONITOR_SOURCES:%.c=$(O)/%.o)) \
		$(FAULTY:%=$(O)/faults/%.o) $(O)/faults/tests/kill/fault.o $(CORE_LIB)
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(MONITOR_LIBS)
tests/monitor/check_kills.py tests/monitor/check_protocol.py: $(O)/faults/monitor

$(O)/tests/fuzz/fuzz_snapshot_parse: $(CORE_SOURCES)
RUNTIME_PURE := userspace/runtime/list.c userspace/runtime/entry.c userspace/runtime/label.c \
	userspace/runtime/object.c userspace/runtime/inspect.c userspace/runtime/log_endpoint.c
$(O)/tests/fuzz/fuzz_runtime: $(RUNTIME_PURE) userspace/core/model.c
$(O)/tests/fuzz/fuzz_inspect: $(RUNTIME_PURE) userspace/core/model.c
$(O)/tests/fuzz/fuzz_runtime_events: userspace/runtime/events.c userspace/host/http.c
$(O)/tests/fuzz/fuzz_crontab: userspace/core/crontab.c
$(O)/tests/fuzz/fuzz_config: userspace/config.c userspace/setting.c userspace/io/file.c $(CORE_SOURCES)
$(O)/tests/fuzz/fuzz_recording: userspace/replay.c userspace/report.c userspace/report_ledger.c \
	userspace/report_ended.c userspace/io/recording.c userspace/config.c userspace/setting.c \
	userspace/io/file.c $(CORE_SOURCES)
MONITOR_FUZZERS := $(addprefix $(O)/tests/fuzz/fuzz_,snapshot_parse config runtime inspect runtime_events \
	recording crontab)
$(MONITOR_FUZZERS): FUZZ_LIBS = $(shell pkg-config --libs libcurl libsystemd libcjson inih libzstd zlib) -lm
FUZZERS += $(MONITOR_FUZZERS)

# A minute in all, beside `make fuzz`.
CHECK_FUZZERS := $(addprefix $(O)/tests/fuzz/fuzz_,snapshot_parse config runtime recording)
$(O)/tests/fuzz/suite: tests/fuzz/suite $(CHECK_FUZZERS)
	$(Q)printf '#!/bin/sh\nexec tests/fuzz/suite $(O)/fuzz 15 $(CHECK_FUZZERS)\n' > $@ && chmod +x $@
SUITES += $(O)/tests/fuzz/suite

# What must hold of core/ whatever a host is: a million cycles of made-up hosts.
$(O)/tests/property/property: $(O)/tests/property/property.o $(O)/tests/property/world.o $(CORE_LIB)
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcjson -lm
SUITES += $(O)/tests/property/property

#: make property   ten million cycles of other made-up hosts; PROPERTY_SEED says which
PROPERTY_SEED ?= $(shell date +%s)000000
.PHONY: property
property: $(O)/tests/property/property
	$(Q)$< 10000000 $(PROPERTY_SEED)

# Is core/ pure?
.PHONY: lint-core
lint-core: $(CORE_LIB)
	$(Q)tests/core/lint $<
lint: lint-core
$(O)/tests/core/lint: tests/core/lint $(CORE_LIB)
	@mkdir -p $(@D)
	$(Q)printf '#!/bin/sh\nexec tests/core/lint $(CORE_LIB)\n' > $@ && chmod +x $@
SUITES += $(O)/tests/core/lint

$(O)/tests/unit/test_nomem: $(O)/tests/property/world.o $(CORE_LIB)
$(O)/tests/unit/test_nomem: UNIT_LIBS = -lcjson -lm -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
SUITES += $(O)/tests/unit/test_nomem

# What the tests cover of core/, by line and by branch: built for it apart, without
# optimisation, as inlined and merged branches tell nothing.
#: make coverage   what the tests cover of core/, by line and branch; why not, where not
COVERED := $(CORE_SOURCES:%.c=$(O)/coverage/%.o)
COVERING := $(CORE_TESTS:$(O)/tests/unit/%=%) test_nomem
COVERING := $(COVERING:%=$(O)/coverage/tests/unit/%) $(O)/coverage/tests/property/property
$(O)/coverage/%.o: %.c
	$(call msg,COV,$@)
	@mkdir -p $(@D)
	$(Q)gcc -std=gnu11 -D_GNU_SOURCE -I. -g -O0 $(if $(filter userspace/%,$<),--coverage) -MMD -MP -c -o $@ $<
$(COVERING): $(O)/coverage/%: $(O)/coverage/%.o $(O)/coverage/tests/property/world.o $(COVERED)
	$(call msg,LINK,$@)
	$(Q)gcc --coverage -o $@ $^ $(if $(filter %_nomem,$@),-Wl$(comma)--wrap=malloc$(comma)--wrap=calloc$(comma)--wrap=realloc) \
		-lcmocka -lcjson -lm
$(O)/tests/core/coverage: tests/core/coverage tests/core/uncovered $(COVERING)
	@mkdir -p $(@D)
	$(Q)printf '#!/bin/sh\nfind $(O)/coverage -name "*.gcda" -delete\nfor test in $(COVERING); do $$test 20000 >/dev/null || echo "# $$test failed"; done\nexec tests/core/coverage $(O)/coverage tests/core/uncovered $(CORE_SOURCES)\n' > $@ && chmod +x $@
SUITES += $(O)/tests/core/coverage
.PHONY: coverage
coverage: $(O)/tests/core/coverage
	$(Q)$<

$(O)/tests/bench/judge/bench_judge: %: %.o $(O)/tests/property/world.o $(O)/userspace/io/recording.o $(CORE_LIB)
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcjson -lzstd -lz -lm
BENCHES += $(O)/tests/bench/judge/bench_judge
