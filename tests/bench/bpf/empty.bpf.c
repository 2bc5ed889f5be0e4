// SPDX-License-Identifier: GPL-2.0
/* Does nothing at every switch: what the kernel takes to call any program there. */
#include "vmlinux/vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("tp_btf/sched_switch")
int empty_switch(void *ctx)
{
	return 0;
}
