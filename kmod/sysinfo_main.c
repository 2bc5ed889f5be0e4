// SPDX-License-Identifier: GPL-2.0
#include <linux/cred.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>

#include "proc_file.h"
#include "snapshot.h"
#include "sysinfo_abi.h"

static struct snapshot_options options = {
	.all = false,
	.cmdline = true,
};

static ushort mode = 0440;
static uint group;

static int scope_set(const char *value, const struct kernel_param *param)
{
	if (sysfs_streq(value, "containers"))
		options.all = false;
	else if (sysfs_streq(value, "all"))
		options.all = true;
	else
		return -EINVAL;
	return 0;
}

static int scope_get(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%s\n", options.all ? "all" : "containers");
}

static const struct kernel_param_ops scope_ops = {
	.set = scope_set,
	.get = scope_get,
};

/* Always octal, so that mode=440 doesn't become 0670; and only reading can be given. */
static int mode_set(const char *value, const struct kernel_param *param)
{
	u16 bits;
	int err = kstrtou16(value, 8, &bits);

	if (err)
		return err;
	/* procfs takes no bits at all for 0444 */
	if (!bits || bits & ~0444)
		return -EINVAL;
	mode = bits;
	return 0;
}

static int mode_get(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "0%03o\n", mode);
}

static const struct kernel_param_ops mode_ops = {
	.set = mode_set,
	.get = mode_get,
};

module_param_cb(scope, &scope_ops, NULL, 0444);
__MODULE_PARM_TYPE(scope, "string");
MODULE_PARM_DESC(scope, "processes to list: containers (default) or all");
module_param_cb(mode, &mode_ops, NULL, 0444);
__MODULE_PARM_TYPE(mode, "octal");
MODULE_PARM_DESC(mode, "permissions of " SYSINFO_PATH ", octal, read bits only (default 0440)");
module_param(group, uint, 0444);
MODULE_PARM_DESC(group, "numeric group of " SYSINFO_PATH " (default 0)");
module_param_named(cmdline, options.cmdline, bool, 0444);
MODULE_PARM_DESC(cmdline, "show command lines (default Y); N where they hold secrets");

static int __init sysinfo_init(void)
{
	kgid_t kgid = make_kgid(&init_user_ns, group);

	if (!gid_valid(kgid))
		return -EINVAL;
	snapshot_init();
	return proc_file_create(mode, kgid, &options);
}

static void __exit sysinfo_exit(void)
{
	proc_file_remove();
}

module_init(sysinfo_init);
module_exit(sysinfo_exit);

MODULE_DESCRIPTION("Machine and container processes as JSON in " SYSINFO_PATH);
MODULE_AUTHOR("The sysinfo authors");
MODULE_VERSION("1.0.0");
MODULE_LICENSE("GPL");
