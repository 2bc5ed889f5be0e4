// SPDX-License-Identifier: GPL-2.0
/* The commands: the daemon, and what only asks or reads. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "userspace/config.h"
#include "userspace/control/control.h"
#include "userspace/core/escape.h"
#include "userspace/daemon.h"
#include "userspace/host/json.h"
#include "userspace/host/log.h"
#include "userspace/host/process.h"
#include "userspace/io/file.h"
#include "userspace/io/snapshot_read.h"
#include "userspace/replay.h"

/* The most that record-mib allows, and the frame that goes beyond it. */
#define REPLAY_MAX (1100u << 20)

/* What was written may still be in a buffer, and the disk full. */
static int check_output(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	log_line("standard output could not be written: %s", strerror(errno));
	return STATUS_FAILED;
}

static int check_snapshot(const struct config *config)
{
	char reason[SNAPSHOT_READ_REASON_SIZE];
	struct snapshot *s;

	if (snapshot_read(config->snapshot, &s, reason)) {
		log_line("%s", reason);
		return STATUS_NO_SNAPSHOT;
	}
	snapshot_free(s);
	return STATUS_DONE;
}

/* What was recorded, evaluated again. */
static int replay(struct config *config)
{
	char reason[REPLAY_REASON_SIZE], *data;
	size_t len;
	int err = file_read_all(AT_FDCWD, config->argument, REPLAY_MAX, &data, &len);

	if (err) {
		log_line("can't read the recording %s: %s", config->argument, strerror(-err));
		return STATUS_FAILED;
	}
	err = replay_run(config, (const unsigned char *)data, len, stdout, reason);
	free(data);
	if (*reason)
		log_line("%s: %s", config->argument, reason);
	return check_output(err ? STATUS_FAILED : STATUS_DONE);
}

/* --- status, arm, disarm ---------------------------------------------------------- */

static double number_of(const cJSON *o, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

static bool is_true(const cJSON *o, const char *key)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, key));
}

static void print_open(const cJSON *answer)
{
	const cJSON *entry;
	char id[13], name[64];

	cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(answer, "open"))
		printf("%-12s  %-12s  %s\n", is_true(entry, "dying") ? "dying" : "being killed",
		       escape(json_text(entry, "id"), id, sizeof(id)),
		       escape(json_text(entry, "name"), name, sizeof(name)));
}

static void print_answer(const struct config *config, const cJSON *answer)
{
	const char *why = json_text(answer, "why");
	char shown[600];

	printf("%s%s%s%s\n", json_text(answer, "mode"), *why ? ": " : "",
	       escape(why, shown, sizeof(shown)),
	       is_true(answer, "durable") ? "" : " (not on disk yet: a restart would not know)");
	if (config->command != CONFIG_STATUS)
		return;
	printf("pid           %.0f, cycle %.0f, begun %.1f s ago, every %.0f s%s%s\n", number_of(answer, "pid"),
	       number_of(answer, "cycle"), number_of(answer, "since_cycle_s"),
	       number_of(answer, "interval_s"), is_true(answer, "sees") ? "" : "; it can't see",
	       is_true(answer, "witness") ? ", with the witness" : "");
	printf("log server    %s %s, %.0f batches waiting on disk\n",
	       escape(json_text(answer, "server"), shown, sizeof(shown)),
	       is_true(answer, "server_reachable") ? "takes records" : "has not taken the last records",
	       number_of(answer, "waiting"));
	if (number_of(answer, "output_lost") > 0)
		printf("output        %.0f texts lost: nobody read them\n", number_of(answer, "output_lost"));
	print_open(answer);
}

/* What was requested is so, as far as the answer says. */
static int status_of(const struct config *config, const cJSON *answer)
{
	const char *mode = json_text(answer, "mode");

	if (config->command == CONFIG_STATUS)
		return *mode ? STATUS_DONE : STATUS_FAILED;
	if (!is_true(answer, "durable"))
		return STATUS_FAILED;
	return !strcmp(mode, config->command == CONFIG_ARM ? "armed" : "disarmed") ? STATUS_DONE :
										   STATUS_FAILED;
}

static int ask(const struct config *config)
{
	static const char *const requests[] = {
		[CONFIG_STATUS] = "status", [CONFIG_ARM] = "arm", [CONFIG_DISARM] = "disarm",
	};
	char reason[CONTROL_REASON_SIZE], path[PATH_MAX + 32], *text;
	cJSON *answer;
	int status;

	config_control_path(config, path, sizeof(path));
	if (control_ask(path, requests[config->command], &text, reason)) {
		log_line("%s", reason);
		return STATUS_FAILED;
	}
	answer = cJSON_Parse(text);
	if (config->json)
		fputs(text, stdout);
	else
		print_answer(config, answer);
	status = status_of(config, answer);
	cJSON_Delete(answer);
	free(text);
	return check_output(status);
}

/* Descriptors 0 to 2 that are closed would become somebody's file, and be written to. */
static void open_standard(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

/* Before signals are blocked: who asks for names may be asked over a network. */
static int find_group(const char *name, gid_t *ret)
{
	const struct group *g = *name ? getgrnam(name) : NULL;

	*ret = g ? g->gr_gid : CONTROL_NO_GROUP;
	if (!*name || g)
		return STATUS_DONE;
	log_line("control-group: there is no group %s", name);
	return STATUS_USAGE;
}

int main(int argc, char **argv)
{
	char reason[CONFIG_REASON_SIZE];
	static struct config config;
	gid_t group;
	int status;

	process_remember_start();
	open_standard();
	switch (config_load(argc, argv, &config, reason)) {
	case CONFIG_DONE:
		return check_output(STATUS_DONE);
	case CONFIG_BAD:
		log_line("%s", reason);
		return STATUS_USAGE;
	case CONFIG_RUN:
		break;
	}
	if (config.check_only) {
		puts("configuration ok");
		return check_output(STATUS_DONE);
	}
	if (config_asks(config.command))
		return ask(&config);
	if (config.command == CONFIG_REPLAY || (config.command == CONFIG_EXPLAIN && config.argument))
		return replay(&config);
	status = find_group(config.control_group, &group);
	if (!status)
		status = check_snapshot(&config);
	if (!status)
		status = daemon_run(&config, group);
	/* Nothing is waited for, whatever hangs: threads, sockets and the disk process end by it. */
	_exit(status);
}
