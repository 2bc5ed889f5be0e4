/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is written to standard output and standard error while the loop runs.  A reader that
 * stalls (a full pipe, a stopped terminal) costs texts, which are counted, never a wait.
 */
#ifndef HOST_OUTPUT_H
#define HOST_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct output;

/*
 * Bytes that wait for a reader at most; a text that finds no room is dropped as a whole.  A
 * text that is longer by itself waits if nothing else does.
 */
#define OUTPUT_WAITING_MAX (1u << 20)

/**
 * output_new() - take over a descriptor
 * @event: the loop; NULL: texts are written at once, until output_attach()
 * @fd: 1 or 2; stays open, and its flags, which others share, stay as they are
 * @ret: freed by output_free()
 *
 * Return: 0 or negative errno.
 */
int output_new(sd_event *event, int fd, struct output **ret);

/**
 * output_attach() - have the loop write what waits
 * @o: made without a loop
 * @event: the loop; must outlive it
 *
 * Return: 0; -EBUSY: it has a loop already; negative errno.
 */
int output_attach(struct output *o, sd_event *event);

/**
 * output_write() - write a text, or have it wait, or drop it
 * @o: where
 * @text: whole lines; they stay together
 * @len: their length
 *
 * Before the first text after dropped ones a line says how many there were
 * ("monitor: 3 reports were lost here: nobody read them"; of a file "no space").
 */
void output_write(struct output *o, const char *text, size_t len);

/* Texts that were dropped since the start, or that could not be written. */
uint64_t output_lost(const struct output *o);

/* The reader is gone for good (EPIPE, EIO, …): 0 or the negative errno. */
int output_broken(const struct output *o);

/* Bytes that wait. */
size_t output_waiting(const struct output *o);

/* Tries for at most so long to write what waits.  For the end: it blocks. */
void output_flush(struct output *o, int timeout_ms);

void output_free(struct output *o);

#endif
