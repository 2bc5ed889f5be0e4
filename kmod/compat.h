/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between kernel versions, and nothing else; supported from 6.1 on. */
#ifndef SYSINFO_COMPAT_H
#define SYSINFO_COMPAT_H

#include <linux/mm.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "sysinfo needs Linux 6.1 or later (struct cgroup has no ancestors[] before)"
#endif

/*
 * One page of another process's memory; @mm's mmap lock is held. The vmas
 * parameter went away with ca5e863233e8 (6.5).
 */
static inline long compat_get_user_page(struct mm_struct *mm, unsigned long addr,
					unsigned int flags, struct page **ret_page)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
	return get_user_pages_remote(mm, addr, 1, flags, ret_page, NULL);
#else
	return get_user_pages_remote(mm, addr, 1, flags, ret_page, NULL, NULL);
#endif
}

/*
 * Resident pages. Since f1a7941243c1 (6.2) these are per-CPU counters, of which
 * get_mm_rss() reads only the common part: up to 32 pages a CPU and counter
 * are missing, all there is of a small process. The sum is exact.
 */
static inline u64 compat_mm_rss_pages(struct mm_struct *mm)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	return percpu_counter_sum_positive(&mm->rss_stat[MM_FILEPAGES]) +
	       percpu_counter_sum_positive(&mm->rss_stat[MM_ANONPAGES]) +
	       percpu_counter_sum_positive(&mm->rss_stat[MM_SHMEMPAGES]);
#else
	return get_mm_rss(mm);
#endif
}

#endif
