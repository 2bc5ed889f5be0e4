// SPDX-License-Identifier: GPL-2.0
#include <linux/atomic.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/pid_namespace.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "proc_file.h"
#include "sysinfo_abi.h"

static struct proc_dir_entry *proc_file_entry;
static atomic_t proc_file_opened = ATOMIC_INIT(0);

/* The snapshot is taken here, once: all reads of the open file give parts of it. */
static int proc_file_open(struct inode *inode, struct file *file)
{
	const struct snapshot_options *options = pde_data(inode);
	struct snapshot *snapshot;
	int err;

	/* Every container's own /proc has the file too. */
	if (task_active_pid_ns(current) != &init_pid_ns)
		return -EPERM;

	if (atomic_inc_return(&proc_file_opened) > SYSINFO_OPEN_MAX && !capable(CAP_SYS_ADMIN)) {
		err = -EBUSY;
		goto uncount;
	}
	snapshot = kmalloc(sizeof(*snapshot), GFP_KERNEL_ACCOUNT);
	if (!snapshot) {
		err = -ENOMEM;
		goto uncount;
	}
	err = snapshot_take(options, snapshot);
	if (err)
		goto free_snapshot;
	file->private_data = snapshot;
	return 0;

free_snapshot:
	kfree(snapshot);
uncount:
	atomic_dec(&proc_file_opened);
	return err;
}

static int proc_file_release(struct inode *inode, struct file *file)
{
	struct snapshot *snapshot = file->private_data;

	snapshot_free(snapshot);
	kfree(snapshot);
	atomic_dec(&proc_file_opened);
	return 0;
}

/* As read_iter, so that splice() and sendfile() work too. */
static ssize_t proc_file_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	const struct snapshot *snapshot = iocb->ki_filp->private_data;
	size_t copied;

	if (iocb->ki_pos >= snapshot->len || !iov_iter_count(to))
		return 0;
	copied = snapshot_copy(snapshot, iocb->ki_pos, to);
	iocb->ki_pos += copied;
	return copied ?: -EFAULT;
}

static loff_t proc_file_lseek(struct file *file, loff_t offset, int whence)
{
	const struct snapshot *snapshot = file->private_data;

	return fixed_size_llseek(file, offset, whence, snapshot->len);
}

static const struct proc_ops proc_file_ops = {
	.proc_open = proc_file_open,
	.proc_read_iter = proc_file_read_iter,
	.proc_lseek = proc_file_lseek,
	.proc_release = proc_file_release,
};

/**
 * proc_file_create() - make the file appear
 * @mode: its permission bits
 * @group: its group; its owner is root
 * @options: what its snapshots show; must live until proc_file_remove()
 *
 * Return: 0, or -ENOMEM, which is all that procfs tells, also if the name is taken.
 */
int proc_file_create(umode_t mode, kgid_t group, const struct snapshot_options *options)
{
	proc_file_entry = proc_create_data(SYSINFO_PROC_NAME, S_IFREG | mode, NULL,
					   &proc_file_ops, (void *)options);
	if (!proc_file_entry)
		return -ENOMEM;
	proc_set_user(proc_file_entry, GLOBAL_ROOT_UID, group);
	return 0;
}

/* proc_file_remove() - waits for calls under way and releases what is open */
void proc_file_remove(void)
{
	proc_remove(proc_file_entry);
}
