/* SPDX-License-Identifier: GPL-2.0 */
/* What the user wants: built-in defaults, then configuration files, then options. */
#ifndef CONFIG_H
#define CONFIG_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "userspace/core/judge.h"

#define CONFIG_REASON_SIZE 512

/* Where it is looked for unless --config names another; beside it, drop-ins in FILE.d/. */
#define CONFIG_FILE "/etc/monitor/monitor.conf"

#define CONFIG_ROOT_SPOOL "/var/lib/sysinfo-monitor"
/* In the spool: what a dry run keeps, which may run beside the monitor that kills. */
#define CONFIG_DRY_RUN_FOLDER "dry-run"

enum config_command {
	CONFIG_WATCH,	/* the daemon */
	CONFIG_EXPLAIN,
	CONFIG_RECORD,
	CONFIG_REPLAY,
	CONFIG_STATUS,
	CONFIG_ARM,
	CONFIG_DISARM,
	CONFIG_COMMANDS,
};

/* Those that ask a running monitor, and do nothing else. */
static inline bool config_asks(enum config_command command)
{
	return command >= CONFIG_STATUS;
}

enum config_bpf {
	CONFIG_BPF_TRY,		/* say its absence once */
	CONFIG_BPF_MUST,
	CONFIG_BPF_NO,
};

struct config {
	enum config_command command;
	const char *argument;	/* of the command, from argv; NULL: none */
	long interval_s;
	long grace_s;		/* from a victim's stop signal to its end; 0: at once */
	long cycles;		/* 0: until told to stop */
	struct judge_policy policy;
	enum config_bpf bpf;
	bool generator;
	bool compose;
	bool dry_run;
	bool json;
	bool check_only;
	char snapshot[PATH_MAX];
	char cgroup_root[PATH_MAX];
	char runtime_socket[PATH_MAX];	/* "": Docker's, else Podman's */
	char server[512];
	char spool[PATH_MAX];
	char control[PATH_MAX];		/* the control socket; "": control.sock in the spool */
	char control_group[64];		/* that may use it, too; "": root alone */
	char images[PATH_MAX];
	char compose_dir[PATH_MAX];
	char record[PATH_MAX];		/* "": nothing is recorded */
	long record_mib;		/* most that a recording may take, twice */
	char file[PATH_MAX];		/* the configuration file; "": CONFIG_FILE, if it is there */
	bool has_file;			/* it was */
	int argc;			/* as given, for config_reload() */
	char **argv;
};

enum config_result {
	CONFIG_RUN,
	CONFIG_DONE,	/* --help or --version was answered */
	CONFIG_BAD,
};

/**
 * config_load() - make the configuration
 * @argc: of main()
 * @argv: of main(); must outlive the configuration
 * @ret: the configuration
 * @reason: of CONFIG_BAD, one line for the user (CONFIG_REASON_SIZE)
 */
enum config_result config_load(int argc, char **argv, struct config *ret, char *reason);

/**
 * config_reload() - read the files again
 * @c: the configuration in force; takes over the policy and the interval, and only if all
 *	is well
 * @reason: on failure, one line for the user; else what has changed and needs a restart,
 *	or "" (CONFIG_REASON_SIZE)
 *
 * Return: whether the new one is in force.
 */
bool config_reload(struct config *c, char *reason);

/**
 * config_read_text() - take over the settings of a file's text
 * @c: the configuration
 * @name: of the file, for the reason
 * @text: ends in NUL
 * @len: its length
 * @reason: on failure, one line: file, line, what is wrong (CONFIG_REASON_SIZE)
 *
 * Return: true; or false, and then @c may have taken some of it.
 */
bool config_read_text(struct config *c, const char *name, const char *text, size_t len, char *reason);

/*
 * The control socket's path, into @buf of PATH_MAX + 32: beside the spool's lock, which whoever
 * listens holds; a dry run, which may run beside another monitor, has its own.
 */
void config_control_path(const struct config *c, char *buf, size_t size);

/* The policy as a file's text that gives the same one.  The caller frees it; NULL: no memory. */
char *config_policy_text(const struct config *c);

/**
 * config_read_policy() - put a recorded policy in the place of the one in force
 * @c: the configuration; options still win
 * @text: by config_policy_text()
 *
 * Return: true, or false with @reason, and then nothing has changed.
 */
bool config_read_policy(struct config *c, const char *text, size_t len, char *reason);

#endif
