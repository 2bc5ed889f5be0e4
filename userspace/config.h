/* SPDX-License-Identifier: GPL-2.0 */
/* What the user wants: built-in defaults, then the configuration file, then options. */
#ifndef CONFIG_H
#define CONFIG_H

#include <limits.h>
#include <stdbool.h>

#include "userspace/core/judge.h"

#define CONFIG_REASON_SIZE 512

enum config_bpf {
	CONFIG_BPF_TRY,		/* say its absence once */
	CONFIG_BPF_MUST,
	CONFIG_BPF_NO,
};

struct config {
	long interval_s;
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
	char images[PATH_MAX];
	char compose_dir[PATH_MAX];
	char file[PATH_MAX];		/* the configuration file; "": none */
};

enum config_result {
	CONFIG_RUN,
	CONFIG_DONE,	/* --help or --version was answered */
	CONFIG_BAD,
};

/**
 * config_load() - make the configuration
 * @argc: of main()
 * @argv: of main()
 * @ret: the configuration
 * @reason: of CONFIG_BAD, one line for the user (CONFIG_REASON_SIZE)
 */
enum config_result config_load(int argc, char **argv, struct config *ret, char *reason);

#endif
