/* SPDX-License-Identifier: GPL-2.0 */
/* What the checks of the module share. Each check_*() runs the tests of one subject. */
#ifndef KMOD_CHECK_H
#define KMOD_CHECK_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DOCKER_A "/docker/" HEX_A

/* False, and errno, if the kernel refuses it. */
bool module_loads(const char *parameters);
void module_reload(const char *parameters);

void check_document(void);
void check_identity(void);
void check_process(void);
void check_text(void);
void check_access(void);

int64_t cgroup_inode(const char *cgroup);

/* The command line as the contract has it, from the kernel's; @to holds 3 * SYSINFO_CMDLINE_MAX. */
size_t expected_cmdline(pid_t pid, char *to);

/* Is it shown so, in a snapshot of now? Ends the process. */
void expect_cmdline(pid_t pid, const char *what, const char *expected, size_t len);

/* The texts, and all fields, of a process that does nothing meanwhile. */
void expect_texts(struct json_object *process, pid_t pid);
void expect_fields(struct json_object *document, pid_t pid);

#endif
