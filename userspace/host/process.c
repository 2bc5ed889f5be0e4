// SPDX-License-Identifier: GPL-2.0
#include "userspace/host/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "userspace/host/clock.h"

#define PROCESS_LATE_ACCURACY_US 1000

struct process {
	pid_t pid;
	int pidfd;
	int link;	/* to the child, until it executes the program: see process_await_go() */
	int in, out, err;
	bool kill_late;
	sd_event_source *exit;
	sd_event_source *late;
	process_done_fn *done;	/* NULL: nobody wants to know, or was told already */
	void *ctx;
};

/* What a child does: executes a program, or calls a function. */
struct process_work {
	char *const *argv;
	char **env;
	int (*fn)(void *ctx, int fd);
	void *fn_ctx;
};

/* How the program was started. */
static struct {
	bool known;
	sigset_t mask;
	sigset_t ignored;
	int nice;
	int policy;
	struct sched_param param;
	struct rlimit memlock;
	char oom_score_adj[16];
	char **env;	/* NULL: no memory; the strings are those of environ */
} process_at_start;

static void process_remember_signals(void)
{
	struct sigaction action;
	int sig;

	sigprocmask(SIG_SETMASK, NULL, &process_at_start.mask);
	sigemptyset(&process_at_start.ignored);
	for (sig = 1; sig < NSIG; sig++)
		if (!sigaction(sig, NULL, &action) && action.sa_handler == SIG_IGN)
			sigaddset(&process_at_start.ignored, sig);
}

static void process_remember_oom(void)
{
	int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return;
	n = read(fd, process_at_start.oom_score_adj, sizeof(process_at_start.oom_score_adj) - 1);
	process_at_start.oom_score_adj[n > 0 ? n : 0] = '\0';
	close(fd);
}

static size_t process_count(char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static void process_remember_environ(void)
{
	size_t n = process_count(environ);

	process_at_start.env = calloc(n + 1, sizeof(*process_at_start.env));
	if (process_at_start.env && n)
		memcpy(process_at_start.env, environ, n * sizeof(*process_at_start.env));
}

void process_remember_start(void)
{
	if (process_at_start.known)
		return;
	process_remember_signals();
	process_remember_oom();
	process_remember_environ();
	process_at_start.nice = getpriority(PRIO_PROCESS, 0);
	process_at_start.policy = sched_getscheduler(0);
	sched_getparam(0, &process_at_start.param);
	getrlimit(RLIMIT_MEMLOCK, &process_at_start.memlock);
	process_at_start.known = true;
	/* While it is ignored, children leave no status behind (wait(2), NOTES). */
	signal(SIGCHLD, SIG_DFL);
}

/* In a child; only what is async-signal-safe (signal-safety(7)), as all up to exec. */
static void process_restore_oom(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, process_at_start.oom_score_adj, strlen(process_at_start.oom_score_adj));
	close(fd);
}

static void process_restore_start(void)
{
	int sig;

	for (sig = 1; sig < NSIG; sig++)
		signal(sig, sigismember(&process_at_start.ignored, sig) == 1 ? SIG_IGN : SIG_DFL);
	if (sched_getscheduler(0) != process_at_start.policy)
		sched_setscheduler(0, process_at_start.policy, &process_at_start.param);
	setpriority(PRIO_PROCESS, 0, process_at_start.nice);
	setrlimit(RLIMIT_MEMLOCK, &process_at_start.memlock);
	process_restore_oom();
	sigprocmask(SIG_SETMASK, &process_at_start.mask, NULL);
}

/*
 * The parent lets its child go on when all is made that watches it.  A child that can't be
 * watched has then done nothing yet, and is at a place where SIGKILL ends it at once.
 */
static void process_await_go(int link)
{
	char go;

	while (read(link, &go, 1) != 1)
		if (errno != EINTR)
			_exit(127);
}

/* execvp(3) says ENOENT of a script, too, whose interpreter is not there. */
static bool process_is_there(const char *name)
{
	const char *dir = getenv("PATH"), *end;
	char path[PATH_MAX];

	if (strchr(name, '/'))
		return !access(name, F_OK);
	for (; *name && dir; dir = *end ? end + 1 : NULL) {
		end = strchrnul(dir, ':');
		if ((size_t)(end - dir) + strlen(name) + 2 > sizeof(path))
			continue;
		memcpy(path, dir, (size_t)(end - dir));
		strcpy(path + (end - dir), "/");
		strcat(path, name);
		if (!access(path, F_OK))
			return true;
	}
	return false;
}

__attribute__((noreturn)) static void process_execute(const struct process *p, int link,
						      const struct process_work *work)
{
	int err;

	environ = work->env;
	/* Whatever is open without O_CLOEXEC: locks, above all. */
	close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC);
	if (dup2(p->in, STDIN_FILENO) >= 0 && dup2(p->out, STDOUT_FILENO) >= 0 &&
	    (p->err < 0 || dup2(p->err, STDERR_FILENO) >= 0))
		execvp(work->argv[0], work->argv);
	err = -errno;
	if (err == -ENOENT && process_is_there(work->argv[0]))
		err = -ENOEXEC;
	send(link, &err, sizeof(err), MSG_DONTWAIT | MSG_NOSIGNAL);
	_exit(127);
}

void process_be_helper(const char *name)
{
	static const int ignored[] = { SIGINT,	SIGTERM, SIGHUP,  SIGQUIT,
				       SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ };
	sigset_t none;
	size_t i;

	for (i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_NAME, name);
	errno = 0;
	if (getpriority(PRIO_PROCESS, 0) < 0 && !errno)
		setpriority(PRIO_PROCESS, 0, 0);
}

/* A reader of the program's output waits for its end, not for that of such a child. */
static void process_be_silent(void)
{
	int fd, null = open("/dev/null", O_RDWR);

	for (fd = 0; fd <= STDERR_FILENO && null >= 0; fd++)
		dup2(null, fd);
	if (null > STDERR_FILENO)
		close(null);
}

__attribute__((noreturn)) static void process_be_child(const struct process *p, int link,
						       const struct process_work *work)
{
	/* With both ends here, the parent's death would not be seen. */
	close(p->link);
	process_await_go(link);
	process_restore_start();
	if (work->argv)
		process_execute(p, link, work);
	/*
	 * It may outlive the program, whose locks, and whose end of the disk process's connection,
	 * it would keep open.
	 */
	if (dup2(p->out, STDERR_FILENO + 1) < 0)
		_exit(127);
	close_range(STDERR_FILENO + 2, UINT_MAX, 0);
	process_be_silent();
	_exit(work->fn(work->fn_ctx, STDERR_FILENO + 1));
}

static void process_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* As the destroy callback of the exit's source, whose userdata it is. */
static void process_free(void *userdata)
{
	struct process *p = userdata;

	process_close(&p->pidfd);
	process_close(&p->link);
	process_close(&p->in);
	process_close(&p->out);
	process_close(&p->err);
	free(p);
}

/*
 * The sources are floating: the loop owns them, so one that ends while a process goes on
 * frees that too.  What is not floating any more is freed (sd_event_source_set_floating(3)).
 */
static void process_drop(sd_event_source **s)
{
	sd_event_source *source = *s;

	*s = NULL;
	if (source)
		sd_event_source_set_floating(source, false);
}

static void process_float(sd_event_source *s)
{
	sd_event_source_set_floating(s, true);
	sd_event_source_unref(s);
}

/*
 * A memory file: no pipe that could fill up and block.  RLIMIT_FSIZE is no bound for it, as
 * the program's other files, and those of all that it starts, would fall under it.
 */
static int process_memory(const char *name, int *ret)
{
	int fd = memfd_create(name, MFD_CLOEXEC), high;

	if (fd < 0)
		return -errno;
	/* A number that dup2() to the standard ones does not meet. */
	high = fd > STDERR_FILENO ? fd : fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (high != fd)
		close(fd);
	if (high < 0)
		return -EMFILE;
	*ret = high;
	return 0;
}

static int process_open_input(struct process *p, const char *input, size_t len)
{
	int err = process_memory("input", &p->in);
	ssize_t n;

	while (!err && len) {
		n = write(p->in, input, len);
		if (n <= 0)
			return n ? -errno : -EIO;
		input += n;
		len -= (size_t)n;
	}
	if (!err && lseek(p->in, 0, SEEK_SET))
		err = -errno;
	return err;
}

/* Appended to: a shell's ">/dev/stderr" opens it anew, at an offset of its own. */
static int process_open_output(const char *name, int *ret)
{
	int err = process_memory(name, ret);

	if (!err && fcntl(*ret, F_SETFL, O_APPEND))
		err = -errno;
	return err;
}

/* Return: its text, from malloc(); NULL: it can't be had. */
static char *process_read_output(int fd, size_t *ret_len)
{
	struct stat st = { 0 };
	size_t len, done = 0;
	char *text;

	if (fd >= 0 && fstat(fd, &st))
		return NULL;
	len = st.st_size < PROCESS_OUTPUT_MAX ? (size_t)st.st_size : PROCESS_OUTPUT_MAX;
	text = malloc(len + 1);
	while (text && done < len) {
		ssize_t n = pread(fd, text + done, len - done, (off_t)done);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (text)
		text[done] = '\0';
	*ret_len = done;
	return text;
}

static void process_tell(struct process *p, int status)
{
	process_done_fn *done = p->done;
	size_t out_len = 0, err_len;
	char *out, *err;

	process_drop(&p->late);
	p->done = NULL;
	if (done) {
		out = process_read_output(p->out, &out_len);
		err = process_read_output(p->err, &err_len);
		/* Output that is missing must not be taken for none. */
		if ((!out || !err) && status >= 0)
			status = -ENOMEM;
		done(p->ctx, status, out ? out : "", out ? out_len : 0, err ? err : "");
		free(out);
		free(err);
	}
	process_close(&p->in);
	process_close(&p->out);
	process_close(&p->err);
}

/* Return: 0; -EAGAIN: it runs. */
static int process_reap(struct process *p, int *ret_status)
{
	siginfo_t info = { 0 };
	int failure;

	if (waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG))
		*ret_status = -errno;
	else if (!info.si_pid)
		return -EAGAIN;
	else if (recv(p->link, &failure, sizeof(failure), MSG_DONTWAIT) == sizeof(failure))
		*ret_status = failure;
	else
		*ret_status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
	return 0;
}

static void process_finish(struct process *p, int status)
{
	process_tell(p, status);
	process_drop(&p->exit);
}

static int process_on_exit(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct process *p = userdata;
	int status;

	(void)s;
	(void)fd;
	(void)revents;
	if (!process_reap(p, &status))
		process_finish(p, status);
	return 0;
}

/* One that SIGKILL finds in the kernel, at a dead disk, may end at any later time, or never. */
static int process_on_late(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct process *p = userdata;
	int status;

	(void)s;
	(void)usec;
	if (!process_reap(p, &status)) {
		process_finish(p, status);
		return 0;
	}
	if (p->kill_late) {
		kill(-p->pid, SIGKILL);
		/* One that has left its group. */
		kill(p->pid, SIGKILL);
	}
	process_tell(p, -ETIMEDOUT);
	return 0;
}

/* Once its exit is watched, the loop frees it. */
static int process_watch(sd_event *event, struct process *p, long timeout_ms)
{
	uint64_t end_us = clock_boottime_us() + (uint64_t)timeout_ms * 1000;
	int err;

	p->pidfd = pidfd_open(p->pid, 0);
	if (p->pidfd < 0)
		return -errno;
	if (timeout_ms > 0) {
		err = sd_event_add_time(event, &p->late, CLOCK_BOOTTIME, end_us,
					PROCESS_LATE_ACCURACY_US, process_on_late, p);
		if (err < 0)
			return err;
	}
	err = sd_event_add_io(event, &p->exit, p->pidfd, EPOLLIN, process_on_exit, p);
	if (err < 0) {
		p->late = sd_event_source_unref(p->late);
		return err;
	}
	sd_event_source_set_destroy_callback(p->exit, process_free);
	process_float(p->exit);
	if (p->late)
		process_float(p->late);
	return 0;
}

static int process_fork(struct process *p, const struct process_work *work)
{
	sigset_t all, before;
	int link[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link))
		return -errno;
	p->link = link[0];
	/* A handler of the program must not run in the child. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	p->pid = fork();
	if (!p->pid)
		process_be_child(p, link[1], work);
	err = p->pid < 0 ? -errno : 0;
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(link[1]);
	return err;
}

/* Takes over @p, also where it fails. */
static int process_run(sd_event *event, struct process *p, const struct process_work *work,
		       long timeout_ms, struct process **ret)
{
	int err = process_fork(p, work);

	if (err)
		goto free_process;
	setpgid(p->pid, p->pid);
	err = process_watch(event, p, timeout_ms);
	if (err)
		goto kill_child;
	/* One that somebody has killed meanwhile is told by its exit. */
	send(p->link, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	process_close(&p->in);
	if (ret)
		*ret = p;
	return 0;

kill_child:
	kill(p->pid, SIGKILL);
	while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
		;
free_process:
	process_free(p);
	return err;
}

static struct process *process_new(process_done_fn *done, void *ctx)
{
	struct process *p = malloc(sizeof(*p));

	process_remember_start();
	if (p)
		*p = (struct process){ .pidfd = -1, .link = -1, .in = -1, .out = -1, .err = -1,
				       .done = done, .ctx = ctx };
	return p;
}

static bool process_is_set(const char *entry, char *const *set_env)
{
	size_t name_len = strcspn(entry, "=");

	for (; set_env && *set_env; set_env++)
		if (!strncmp(entry, *set_env, name_len) && (*set_env)[name_len] == '=')
			return true;
	return false;
}

/* The environment at the start and beside it @set_env; the strings are not copied. */
static char **process_environment(char *const *set_env)
{
	char *const *entries = process_at_start.env;
	size_t n = 0, i;
	char **env;

	env = calloc(process_count(entries) + process_count(set_env) + 1, sizeof(*env));
	if (!env || !entries) {
		free(env);
		return NULL;
	}
	for (i = 0; entries[i]; i++)
		if (!process_is_set(entries[i], set_env))
			env[n++] = entries[i];
	for (i = 0; set_env && set_env[i]; i++)
		env[n++] = set_env[i];
	return env;
}

int process_start(sd_event *event, const struct process_options *o, struct process **ret)
{
	struct process_work work = { .argv = o->argv };
	struct process *p;
	int err;

	if (!o->argv || !o->argv[0])
		return -EINVAL;
	p = process_new(o->done, o->ctx);
	if (!p)
		return -ENOMEM;
	p->kill_late = o->kill_late;
	work.env = process_environment(o->set_env);
	err = work.env ? process_open_input(p, o->input, o->input_len) : -ENOMEM;
	if (!err)
		err = process_open_output("output", &p->out);
	if (!err)
		err = process_open_output("errors", &p->err);
	if (err)
		process_free(p);
	else
		err = process_run(event, p, &work, o->timeout_ms, ret);
	free(work.env);
	return err;
}

int process_call(sd_event *event, int (*fn)(void *ctx, int fd), void *fn_ctx, long timeout_ms,
		 process_done_fn *done, void *ctx, struct process **ret)
{
	struct process_work work = { .fn = fn, .fn_ctx = fn_ctx };
	struct process *p = process_new(done, ctx);
	int err;

	if (!p)
		return -ENOMEM;
	p->kill_late = true;
	err = process_open_output("output", &p->out);
	if (!err)
		return process_run(event, p, &work, timeout_ms, ret);
	process_free(p);
	return err;
}

bool process_try(int (*fn)(void *ctx), void *ctx, int timeout_ms)
{
	struct pollfd ended = { .fd = -1, .events = POLLIN };
	siginfo_t info = { 0 };
	pid_t pid = fork();

	if (!pid) {
		close_range(STDERR_FILENO + 1, UINT_MAX, 0);
		process_be_silent();
		_exit(fn(ctx));
	}
	if (pid > 0)
		ended.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (ended.fd < 0)
		return false;
	poll(&ended, 1, timeout_ms);
	close(ended.fd);
	return !waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG) && info.si_code == CLD_EXITED &&
	       !info.si_status;
}
