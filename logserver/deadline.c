// SPDX-License-Identifier: GPL-2.0
#include "deadline.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

struct deadline {
	struct deadline *next, **back;
	int fd;
	time_t at;  /* CLOCK_MONOTONIC */
};

struct deadlines {
	pthread_mutex_t lock;
	pthread_cond_t stop;
	pthread_t watcher;
	bool stopping;
	struct deadline *first;
};

static time_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void *watch(void *context)
{
	struct deadlines *deadlines = context;
	struct timespec tick;

	pthread_mutex_lock(&deadlines->lock);
	while (!deadlines->stopping) {
		time_t now = now_s();

		/* Its thread sees the end of the connection and closes it. */
		for (struct deadline *d = deadlines->first; d; d = d->next) {
			if (d->at <= now)
				shutdown(d->fd, SHUT_RDWR);
		}
		clock_gettime(CLOCK_REALTIME, &tick);
		tick.tv_sec++;
		pthread_cond_timedwait(&deadlines->stop, &deadlines->lock, &tick);
	}
	pthread_mutex_unlock(&deadlines->lock);
	return NULL;
}

int deadlines_new(struct deadlines **ret)
{
	struct deadlines *deadlines = calloc(1, sizeof(*deadlines));
	int err;

	if (!deadlines)
		return -ENOMEM;
	pthread_mutex_init(&deadlines->lock, NULL);
	pthread_cond_init(&deadlines->stop, NULL);
	err = -pthread_create(&deadlines->watcher, NULL, watch, deadlines);
	if (err) {
		free(deadlines);
		return err;
	}
	*ret = deadlines;
	return 0;
}

void deadlines_free(struct deadlines *deadlines)
{
	pthread_mutex_lock(&deadlines->lock);
	deadlines->stopping = true;
	pthread_cond_signal(&deadlines->stop);
	pthread_mutex_unlock(&deadlines->lock);
	pthread_join(deadlines->watcher, NULL);
	pthread_mutex_destroy(&deadlines->lock);
	pthread_cond_destroy(&deadlines->stop);
	free(deadlines);
}

struct deadline *deadline_add(struct deadlines *deadlines, int fd, int seconds)
{
	struct deadline *deadline = calloc(1, sizeof(*deadline));

	if (!deadline)
		return NULL;
	deadline->fd = fd;
	deadline->at = now_s() + seconds;
	pthread_mutex_lock(&deadlines->lock);
	deadline->next = deadlines->first;
	deadline->back = &deadlines->first;
	if (deadline->next)
		deadline->next->back = &deadline->next;
	deadlines->first = deadline;
	pthread_mutex_unlock(&deadlines->lock);
	return deadline;
}

void deadline_set(struct deadlines *deadlines, struct deadline *deadline, int seconds)
{
	if (!deadline)
		return;
	pthread_mutex_lock(&deadlines->lock);
	deadline->at = now_s() + seconds;
	pthread_mutex_unlock(&deadlines->lock);
}

void deadline_remove(struct deadlines *deadlines, struct deadline *deadline)
{
	if (!deadline)
		return;
	pthread_mutex_lock(&deadlines->lock);
	*deadline->back = deadline->next;
	if (deadline->next)
		deadline->next->back = deadline->back;
	pthread_mutex_unlock(&deadlines->lock);
	free(deadline);
}
