/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The runtime's list of containers (GET /containers/json of the Docker Engine API; Podman
 * has it too), read as it comes: neither a huge label nor a bad entry costs more than the
 * container that has it.  Pure.
 */
#ifndef RUNTIME_LIST_H
#define RUNTIME_LIST_H

#include "userspace/core/model.h"
#include "userspace/runtime/log_endpoint.h"

/* Labels that rule the monitor; set by whoever makes a container, not from inside. */
#define RUNTIME_LABEL_PROTECT "sysinfo.protect"
#define RUNTIME_LABEL_ROLE "sysinfo.role"

/* One entry of the list; a longer one's container is not known, and stays. */
#define RUNTIME_ENTRY_MAX (1u << 20)
/* All of it: what is beyond is no list any more. */
#define RUNTIME_LIST_MAX (256u << 20)

struct runtime_list;

/**
 * runtime_list_new() - begin to read a list
 * @endpoint: of the log server
 * @ret: freed by runtime_list_free()
 *
 * Return: 0 or -ENOMEM.
 */
int runtime_list_new(const struct log_endpoint *endpoint, struct runtime_list **ret);

/* The next bytes.  Return: 0; -EBADMSG: it is no list; -EFBIG; -ENOMEM. */
int runtime_list_feed(struct runtime_list *l, const char *data, size_t len);

/* It was all.  Return: 0; -EBADMSG: it broke off, or is none; and then nobody is known. */
int runtime_list_end(struct runtime_list *l);

/* Entries that were not understood: malformed, oversized, or of an id that came twice. */
size_t runtime_list_unclear(const struct runtime_list *l);

/**
 * runtime_list_apply() - fill in what a whole list says of the model's containers
 * @l: after runtime_list_end() gave 0
 * @m: the model; its containers' runtime is filled in
 *
 * Return: 0, or -ENOMEM, and then no container is known.
 */
int runtime_list_apply(const struct runtime_list *l, struct model *m);

void runtime_list_free(struct runtime_list *l);

#endif
