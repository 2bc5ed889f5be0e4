// SPDX-License-Identifier: GPL-2.0
/* Sets everything up, runs the loop, and takes everything down again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "userspace/act.h"
#include "userspace/config.h"
#include "userspace/io/cgroup_read.h"
#include "userspace/io/compose.h"
#include "userspace/io/file.h"
#include "userspace/io/generator.h"
#include "userspace/io/host_lock.h"
#include "userspace/io/http.h"
#include "userspace/io/priority.h"
#include "userspace/io/privilege.h"
#include "userspace/io/runtime.h"
#include "userspace/io/snapshot_read.h"
#include "userspace/loop.h"
#include "userspace/replay.h"
#include "userspace/say.h"

enum {
	STATUS_DONE = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_NO_SNAPSHOT = 3,
};

/* How long the end may wait for the log server; what it doesn't take stays on disk. */
#define DRAIN_MS 10000
/* The most that record-mib allows, and the frame that goes beyond it. */
#define REPLAY_MAX (1100u << 20)

static int check_snapshot(const struct config *config)
{
	char reason[SNAPSHOT_READ_REASON_SIZE];
	struct snapshot *s;

	if (snapshot_read(config->snapshot, &s, reason)) {
		say("%s", reason);
		return STATUS_NO_SNAPSHOT;
	}
	snapshot_free(s);
	return STATUS_DONE;
}

static int open_cgroups(const struct config *config, int *ret)
{
	char unified[PATH_MAX + 16];
	int err = cgroup_root_open(config->cgroup_root, ret), other;

	if (err == -EMEDIUMTYPE) {
		snprintf(unified, sizeof(unified), "%s/unified", config->cgroup_root);
		if (!cgroup_root_open(unified, &other)) {
			close(other);
			say("%s is cgroup v1 with v2 beside it: boot with systemd.unified_cgroup_hierarchy=1; with --cgroup-root %s all containers stay",
			    config->cgroup_root, unified);
		} else {
			say("%s is not cgroup v2: boot with systemd.unified_cgroup_hierarchy=1, or give --cgroup-root",
			    config->cgroup_root);
		}
	} else if (err) {
		say("can't open %s: %s; give --cgroup-root", config->cgroup_root, strerror(-err));
	}
	return err;
}

static int open_runtime(const struct config *config, const char **ret)
{
	const char *socket = runtime_socket(*config->runtime_socket ? config->runtime_socket : NULL);
	const char *advice = "start Docker, or give --runtime-socket";

	if (socket && !access(socket, R_OK | W_OK)) {
		*ret = socket;
		return 0;
	}
	if (!socket)
		say("there is no container runtime's socket: %s", advice);
	else
		say("can't use the container runtime's socket %s: %s; %s", socket, strerror(errno),
		    errno == EACCES ? "join the group docker, or run as root" : advice);
	return -ENOENT;
}

static int open_spool(const struct config *config, struct spool **ret)
{
	int err = spool_open(config->spool, ret);

	if (err == -EBUSY)
		say("another monitor runs here (it holds %s/lock); end it first", config->spool);
	else if (err)
		say("can't use the spool %s: %s; give --spool DIR", config->spool, strerror(-err));
	return err;
}

/* One that only looks is no danger to another. */
static int lock_host(const struct config *config, const char *socket, int *ret)
{
	int err = config->dry_run ? 0 : host_lock_take(socket, ret);

	if (err == -EBUSY)
		say("another monitor runs on this host, for the runtime at %s; end it first, or look with --dry-run",
		    socket);
	else if (err)
		say("can't make sure that no other monitor runs: %s", strerror(-err));
	return err;
}

static int open_witness(const struct config *config, struct witness **ret)
{
	const struct witness_options options = { .cgroup_root = config->cgroup_root };
	char reason[WITNESS_REASON_SIZE];
	int err;

	if (config->bpf == CONFIG_BPF_NO)
		return 0;
	err = witness_open(&options, ret, reason, sizeof(reason));
	if (!err)
		return 0;
	say("%s%s", reason, config->bpf == CONFIG_BPF_TRY ? "; going on without the witness" : "");
	return config->bpf == CONFIG_BPF_TRY ? 0 : err;
}

/* Adds a name to a folder. */
static const char *below(const char *folder, const char *name, char *buf, size_t size)
{
	snprintf(buf, size, "%s/%s", folder, name);
	return buf;
}

static int start_compose(const struct config *config, const char *socket)
{
	char file[PATH_MAX + 32], reason[COMPOSE_REASON_SIZE];

	if (!config->compose)
		return 0;
	if (compose_up(below(config->compose_dir, "docker-compose.yml", file, sizeof(file)), socket,
		       reason)) {
		say("%s", reason);
		return -EIO;
	}
	return 0;
}

static int start_generator(const struct config *config, const struct spool *spool,
			   const char *socket)
{
	char script[PATH_MAX + 32], reason[GENERATOR_REASON_SIZE];

	if (!config->generator)
		return 0;
	if (generator_install(below(config->compose_dir, "generate", script, sizeof(script)),
			      spool_lock_path(spool), socket, reason)) {
		say("%s", reason);
		return -EIO;
	}
	return 0;
}

static void stop_generator(const struct spool *spool)
{
	char reason[GENERATOR_REASON_SIZE];

	if (generator_remove(spool_lock_path(spool), reason))
		say("the generator's cron entry may still be there: %s", reason);
}

static void draw(const struct config *config)
{
	char reason[HTTP_REASON_SIZE];

	if (server_draw(config->server, config->images, reason))
		say("no graphs: %s", reason);
	else
		say("graphs are in %s: Memory.png and Processes.png", config->images);
}

static void read_identity(struct setup *s)
{
	size_t len;
	char *text;

	if (gethostname(s->host, sizeof(s->host) - 1) || !s->host[0])
		strcpy(s->host, "unknown");
	strcpy(s->boot_id, "unknown");
	if (!file_read_all(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 63, &text, &len)) {
		text[strcspn(text, "\n")] = '\0';
		snprintf(s->boot_id, sizeof(s->boot_id), "%s", text);
		free(text);
	}
}

/* What only one that acts needs: the way to the log server, and the workload. */
static int start_watch(struct setup *s, bool *ret_generator)
{
	struct trouble trouble = { "" };
	char reason[GENERATOR_REASON_SIZE], why[BRAKE_REASON_SIZE];
	bool armed = !s->config->dry_run &&
		     spool_disarmed(s->spool, why, sizeof(why)) == -ENOENT;
	int err = act_begin(s->act, s);

	if (err == -EBADMSG) {
		say("the last run's intents can't be read; they are put aside in %s", s->config->spool);
	} else if (err) {
		say("the last run's intents can't be taken over: %s; look at %s", strerror(-err),
		    s->config->spool);
		return err;
	}
	act_settle(s->act, s, armed, &trouble);
	if (trouble.text[0])
		say("%s", trouble.text);
	err = start_compose(s->config, s->runtime_socket);
	if (err)
		return err;
	/* What an earlier monitor that was killed may have left; no matter if there is no cron. */
	generator_remove(spool_lock_path(s->spool), reason);
	*ret_generator = s->config->generator;
	err = start_generator(s->config, s->spool, s->runtime_socket);
	if (err)
		return err;
	err = server_client_start(s->spool, s->config->server, &s->client);
	if (err)
		say("no thread for the log server");
	return err;
}

static int run(struct config *config)
{
	struct act act = { 0 };
	struct setup setup = { .config = config, .cgroup_root = -1, .act = &act,
			       .signals = { -1, -1, false } };
	int status = STATUS_FAILED;
	bool watch = config->command == CONFIG_WATCH, generator = false, reachable;
	char reason[LOOP_REASON_SIZE];
	int lock = -1;
	size_t waiting;
	int err;

	if (http_init()) {
		say("libcurl can't be used");
		return STATUS_FAILED;
	}
	read_identity(&setup);
	if (door_find(config->server, &setup.door))
		say("the log server's address %s is not known here", config->server);
	err = signals_open(&setup.signals);
	if (err) {
		say("no signals: %s", strerror(-err));
		return STATUS_FAILED;
	}
	if ((watch && open_spool(config, &setup.spool)) || open_cgroups(config, &setup.cgroup_root) ||
	    open_runtime(config, &setup.runtime_socket) ||
	    lock_host(config, setup.runtime_socket, &lock) || open_witness(config, &setup.witness))
		goto out;
	if (watch)
		priority_raise();
	/* The witness is loaded; from here on, nothing needs more.  Threads are made later. */
	err = privilege_drop();
	if (err) {
		say("can't give up capabilities: %s", strerror(-err));
		goto out;
	}
	if (watch && start_watch(&setup, &generator))
		goto out;
	if (!cgroup_has_memory(setup.cgroup_root))
		say("the cgroup v2 at %s has no memory controller, so no container's memory is known, and all stay: boot with systemd.unified_cgroup_hierarchy=1",
		    config->cgroup_root);
	if (watch)
		say("watching %s every %ld s; log server %s; lock %s", config->snapshot,
		    config->interval_s, config->server, spool_lock_path(setup.spool));
	if (loop_run(&setup, reason))
		say("%s", reason);
	else
		status = STATUS_DONE;
out:
	if (generator)
		stop_generator(setup.spool);
	reachable = setup.client && server_client_stop(setup.client, DRAIN_MS);
	if (setup.spool) {
		waiting = spool_waiting(setup.spool);
		if (waiting)
			say("the log server has not taken %zu batches; they wait in %s", waiting,
			    config->spool);
	}
	if (reachable)
		draw(config);
	act_end(&act);
	witness_close(setup.witness);
	spool_close(setup.spool);
	if (setup.cgroup_root >= 0)
		close(setup.cgroup_root);
	if (lock >= 0)
		close(lock);
	signals_close(&setup.signals);
	return status;
}

/* What was recorded, judged anew. */
static int replay(struct config *config)
{
	char reason[REPLAY_REASON_SIZE], *data;
	size_t len;
	int err = file_read_all(AT_FDCWD, config->argument, REPLAY_MAX, &data, &len);

	if (err) {
		say("can't read the recording %s: %s", config->argument, strerror(-err));
		return STATUS_FAILED;
	}
	err = replay_run(config, (const unsigned char *)data, len, stdout, reason);
	free(data);
	if (*reason)
		say("%s: %s", config->argument, reason);
	return err ? STATUS_FAILED : STATUS_DONE;
}

int main(int argc, char **argv)
{
	char reason[CONFIG_REASON_SIZE];
	static struct config config;
	int status;

	switch (config_load(argc, argv, &config, reason)) {
	case CONFIG_DONE:
		return STATUS_DONE;
	case CONFIG_BAD:
		say("%s", reason);
		return STATUS_USAGE;
	case CONFIG_RUN:
		break;
	}
	if (config.check_only) {
		puts("configuration ok");
		return STATUS_DONE;
	}
	if (config.command == CONFIG_REPLAY || (config.command == CONFIG_EXPLAIN && config.argument))
		return replay(&config);
	status = check_snapshot(&config);
	return status ? status : run(&config);
}
