# SPDX-License-Identifier: GPL-2.0
# The log server, its unit tests, its suite over HTTP and its fuzzers.

# pkg-config only runs when something of this is linked or compiled.
LOGSERVER_CFLAGS = $(shell pkg-config --cflags libmicrohttpd libcjson sqlite3 libzstd zlib gnutls)
LOGSERVER_LIBS = $(shell pkg-config --libs libmicrohttpd libcjson sqlite3 libzstd zlib gnutls) -pthread -lm

LOGSERVER_SOURCES := $(addprefix logserver/,main.c http.c answer.c auth.c rate.c deadline.c gzip.c \
	openapi.c route.c record.c timestamp.c utf8.c \
	store.c store_append.c store_load.c store_worker.c files.c index.c block.c hash.c idset.c \
	lines.c query.c csv.c series.c plot.c plot_run.c graphs.c page.c metrics.c probe.c)
LOGSERVER_OBJECTS := $(LOGSERVER_SOURCES:%.c=$(O)/%.o)

ALL += $(O)/logserver/logserver

$(O)/logserver/%.o: ROOM_CFLAGS = $(LOGSERVER_CFLAGS) -pthread

# What the assembler reads in it is no header that the compiler knows of.
$(O)/logserver/openapi.o: logserver/openapi.json

$(O)/logserver/logserver: $(LOGSERVER_OBJECTS)
	$(call msg,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LOGSERVER_LIBS)

# Unit tests of the pure parts.
$(O)/tests/unit/test_logserver_timestamp: $(O)/logserver/timestamp.o
$(O)/tests/unit/test_logserver_record: $(addprefix $(O)/logserver/,record.o hash.o timestamp.o \
	utf8.o)
$(O)/tests/unit/test_logserver_route: $(addprefix $(O)/logserver/,route.o record.o hash.o \
	timestamp.o utf8.o)
$(O)/tests/unit/test_logserver_hash: $(O)/logserver/hash.o
$(O)/tests/unit/test_logserver_series: $(addprefix $(O)/logserver/,series.o plot.o page.o record.o \
	hash.o timestamp.o utf8.o)
$(O)/tests/unit/test_logserver_idset: $(addprefix $(O)/logserver/,idset.o hash.o)
$(O)/tests/unit/test_logserver_block: $(addprefix $(O)/logserver/,block.o record.o hash.o \
	timestamp.o utf8.o)
$(O)/tests/unit/test_logserver_access: $(addprefix $(O)/logserver/,auth.o rate.o utf8.o)
$(O)/tests/unit/test_logserver_answer: $(addprefix $(O)/logserver/,csv.o gzip.o record.o hash.o \
	timestamp.o utf8.o)
LOGSERVER_TESTS := timestamp record route series hash idset block access answer
LOGSERVER_TESTS := $(LOGSERVER_TESTS:%=$(O)/tests/unit/test_logserver_%)
$(LOGSERVER_TESTS): UNIT_LIBS = $(LOGSERVER_LIBS)
SUITES += $(LOGSERVER_TESTS)

$(O)/tests/fuzz/fuzz_logserver_record: $(addprefix logserver/,record.c hash.c timestamp.c utf8.c)
$(O)/tests/fuzz/fuzz_logserver_route: $(addprefix logserver/,route.c record.c hash.c timestamp.c \
	utf8.c)
$(O)/tests/fuzz/fuzz_logserver_text: $(addprefix logserver/,auth.c csv.c gzip.c record.c hash.c \
	timestamp.c utf8.c)
LOGSERVER_FUZZERS := $(addprefix $(O)/tests/fuzz/fuzz_logserver_,record route text)
$(LOGSERVER_FUZZERS): FUZZ_LIBS = $(shell pkg-config --libs libcjson zlib) -lm
FUZZERS += $(LOGSERVER_FUZZERS)

SUITES += $(addprefix tests/logserver/check_,http.py store.py threads.py together.py)
tests/logserver/check_together.py: monitor $(O)/logserver/logserver
tests/logserver/check_threads.py: | $(O)/logserver/logserver-tsan
tests/logserver/check_store.py: | $(O)/tests/logserver/bad_disk.so

$(O)/tests/logserver/bad_disk.so: tests/logserver/bad_disk.c
	$(call msg,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(CFLAGS) $(filter-out -Wmissing-prototypes,$(WARN)) -D_GNU_SOURCE \
		-fPIC -shared -o $@ $<

# The same suite with the sanitizers watching: AddressSanitizer and
# UndefinedBehaviorSanitizer, then ThreadSanitizer.
$(O)/logserver/logserver-asan: LOGSERVER_SANITIZERS = $(SAN_CFLAGS)
$(O)/logserver/logserver-tsan: LOGSERVER_SANITIZERS = -std=gnu11 -g -O1 -D_GNU_SOURCE -I. \
	-fsanitize=thread
LOGSERVER_SANITIZED := $(O)/logserver/logserver-asan $(O)/logserver/logserver-tsan
$(LOGSERVER_SANITIZED): $(LOGSERVER_SOURCES) $(wildcard logserver/*.h)
	$(call msg,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(LOGSERVER_SANITIZERS) $(LOGSERVER_CFLAGS) -o $@ $(LOGSERVER_SOURCES) \
		$(LOGSERVER_LIBS)

#: make check-logserver-sanitized   the log server's suite under ASan, UBSan and TSan
.PHONY: check-logserver-sanitized
check-logserver-sanitized: $(LOGSERVER_SANITIZED)
	$(Q)for program in $(abspath $^); do \
		LOGSERVER_SANITIZED=1 LOGSERVER=$$program TSAN_OPTIONS=halt_on_error=1 \
			sh -c 'tests/logserver/check_http.py && tests/logserver/check_store.py' || exit 1; \
	done

# Only its checker is wanted, not the service: so it is unpacked, not installed.
$(O)/prometheus/usr/bin/promtool:
	$(call msg,GET,$@)
	$(Q)rm -rf $(O)/prometheus && mkdir -p $(O)/prometheus
	$(Q)cd $(O)/prometheus && apt-get -qq download prometheus && \
		dpkg --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool

#: make check-logserver-metrics   /metrics by Prometheus' own checker (a download of 19 MB)
.PHONY: check-logserver-metrics
check-logserver-metrics: $(O)/logserver/logserver $(O)/prometheus/usr/bin/promtool
	$(Q)PATH=$(abspath $(O)/prometheus/usr/bin):$$PATH tests/logserver/check_http.py metrics

#: make bench-logserver   the log server's figures, beside FastAPI's and the disk's
.PHONY: bench-logserver
bench-logserver: $(O)/logserver/logserver
	@tests/deps wrk python3-fastapi uvicorn python3-matplotlib
	$(Q)mkdir -p $(O)/bench
	$(Q)tests/bench/logserver/bench.py $< > $(O)/bench/logserver.md
	$(Q)cat $(O)/bench/logserver.md

#: make torture-logserver   200 kill -9 under load, slow and malicious clients (minutes)
.PHONY: torture-logserver
torture-logserver: $(O)/logserver/logserver $(O)/tests/logserver/bad_disk.so monitor
	$(Q)tests/logserver/torture.py
	$(Q)LOGSERVER_TURNS=30 tests/logserver/check_together.py
