// SPDX-License-Identifier: GPL-2.0
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include "tests/bench/kmod/tasks.skel.h"
#include "reader.h"
#include "tasks.h"

static struct tasks_bpf *skel;
static struct bpf_link *iterator;
static char buffer[1 << 20];

static int bpf_begin(void)
{
	skel = tasks_bpf__open_and_load();
	if (!skel)
		return -1;
	iterator = bpf_program__attach_iter(skel->progs.tasks, NULL);
	return iterator ? 0 : -1;
}

/* Each read gives whole records only if they fit; what is split is put together. */
static void bpf_read(struct reader_result *ret)
{
	int fd = bpf_iter_create(bpf_link__fd(iterator));
	size_t len = 0, at;
	ssize_t n;

	*ret = (struct reader_result){};
	while ((n = read(fd, buffer + len, sizeof(buffer) - len)) > 0) {
		ret->bytes += n;
		len += n;
		for (at = 0; len - at >= sizeof(struct tasks_record);) {
			const struct tasks_record *r = (const void *)(buffer + at);

			if (len - at < sizeof(*r) + r->cmdline_len)
				break;
			ret->processes++;
			at += sizeof(*r) + r->cmdline_len;
		}
		__builtin_memmove(buffer, buffer + at, len - at);
		len -= at;
	}
	close(fd);
}

const struct reader reader_bpf = { .name = "BPF iterator", .begin = bpf_begin, .read = bpf_read };
