// SPDX-License-Identifier: GPL-2.0
#include "userspace/host/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

int signals_open(struct signals *s)
{
	struct sigaction hangup;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	/* A write that can't be done fails instead: a reader that is gone, a limit on files' sizes, a
	 * terminal whose foreground is another's (stty tostop). */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	s->nohup = !sigaction(SIGHUP, NULL, &hangup) && hangup.sa_handler == SIG_IGN;
	s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd < 0)
		return -errno;
	s->terminal = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	return 0;
}

/*
 * The kernel sends SIGHUP when a terminal is closed, and a shell passes it on to its jobs
 * as kill(1) would: who sent it tells nothing.  Whether the terminal is gone does.
 */
static bool is_hung_up(const struct signals *s)
{
	struct pollfd terminal = { .fd = s->terminal, .events = POLLIN };

	return s->terminal >= 0 && !s->nohup && poll(&terminal, 1, 0) > 0 &&
	       terminal.revents & POLLHUP;
}

enum signals_request signals_next(struct signals *s)
{
	struct signalfd_siginfo info;

	if (read(s->fd, &info, sizeof(info)) != sizeof(info))
		return SIGNALS_NONE;
	switch (info.ssi_signo) {
	case SIGUSR1:
		return SIGNALS_DISARM;
	case SIGUSR2:
		return SIGNALS_ARM;
	case SIGHUP:
		return is_hung_up(s) ? SIGNALS_END : SIGNALS_RELOAD;
	}
	return SIGNALS_END;
}

void signals_close(struct signals *s)
{
	if (s->terminal >= 0)
		close(s->terminal);
	if (s->fd >= 0)
		close(s->fd);
}
