/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the module and its readers share: where the snapshot is, the version of
 * its form, and every limit of the module, each with its reason. Preprocessor
 * only, so that kernel and user space can both include it.
 */
#ifndef SYSINFO_ABI_H
#define SYSINFO_ABI_H

#define SYSINFO_PROC_NAME "sysinfo_202106003"
#define SYSINFO_PATH "/proc/" SYSINFO_PROC_NAME

/* Raised when a key changes its meaning or goes away; a new key does not raise it. */
#define SYSINFO_SCHEMA_VERSION 1

/*
 * Bytes of an argument list that are shown. One page: enough for what people
 * tell processes apart by, and at most two pages of the process are touched.
 */
#define SYSINFO_CMDLINE_MAX 4096

/*
 * Bytes of a cgroup path. Kubernetes nests to about 250 bytes; a container may
 * nest its own groups without end. The path of a deeper group is cut after a
 * whole component: it then names the nearest ancestor that fits, and CgroupID
 * is that ancestor's. What identifies a container is always near the root.
 */
#define SYSINFO_CGROUP_MAX 1024

/*
 * Bytes of one document. A process takes about 400 bytes and, with a hostile
 * cgroup path, 7 KiB. Beyond this the open fails with EFBIG: no snapshot is
 * better than one that silently lacks processes.
 */
#define SYSINFO_DOCUMENT_MAX (128UL << 20)

/*
 * From this length on, Cmdline is left empty. One command line can take 24 KiB
 * once escaped, and is the one field that nothing is decided by; what is left
 * of the document then holds some 200 000 processes more.
 */
#define SYSINFO_CMDLINES_UNTIL (32UL << 20)

/*
 * Bytes of a document that are allocated, cleared and copied at once; in between,
 * others get the CPU if they want it. In the order of 10 us. More than the kernel keeps
 * for each CPU (PAGE_ALLOC_COSTLY_ORDER): what it keeps it gives back in batches, with
 * interrupts off (free_pcppages_bulk()), which for pieces of 32 KiB was seen to take
 * 700 000 instructions. So it is still where memory has no such pieces in a row.
 */
#define SYSINFO_PIECE (64UL << 10)

/*
 * Documents that may be held open at once. Memory is charged to the reader's
 * memory cgroup, but a reader may be in none. CAP_SYS_ADMIN may exceed it, so
 * that a plain reader can't shut the administrator out.
 */
#define SYSINFO_OPEN_MAX 64

/*
 * Collection goes in steps. A step holds the RCU read lock for at most this
 * many looked-up pids, and references to the memory of at most this many
 * listed processes; between steps nothing is held and the reader can be
 * interrupted. A step is in the order of 50 us.
 */
#define SYSINFO_STEP_PIDS 256
#define SYSINFO_STEP_PROCESSES 32

/*
 * A process whose memory map is being changed is asked again after
 * SYSINFO_MMAP_WAIT_US. A whole collection waits SYSINFO_MMAP_WAIT_MAX_US for
 * all of them, then leaves such a Cmdline empty: a process must not be able to
 * hold up the reader.
 */
#define SYSINFO_MMAP_WAIT_US 100
#define SYSINFO_MMAP_WAIT_MAX_US 20000

#endif
