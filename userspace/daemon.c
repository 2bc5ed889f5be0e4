// SPDX-License-Identifier: GPL-2.0
#include "userspace/daemon.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "userspace/act/act.h"
#include "userspace/collect/collect.h"
#include "userspace/collect/own_containers.h"
#include "userspace/control/control.h"
#include "userspace/control/operator.h"
#include "userspace/deliver/draw.h"
#include "userspace/deliver/log_client.h"
#include "userspace/host/clock.h"
#include "userspace/host/file_writer.h"
#include "userspace/host/lock.h"
#include "userspace/host/log.h"
#include "userspace/host/output.h"
#include "userspace/host/priority.h"
#include "userspace/host/privilege.h"
#include "userspace/host/process.h"
#include "userspace/io/cgroup_read.h"
#include "userspace/io/file.h"
#include "userspace/io/witness.h"
#include "userspace/loop.h"
#include "userspace/recorder.h"
#include "userspace/workload/compose.h"
#include "userspace/workload/generator.h"

/* The name in --server: a resolver that needs longer is in trouble. */
#define RESOLVE_TIMEOUT_MS 3000
/* Ctrl-C and SIGTERM: all of the end, whatever hangs; a moment is left for the last lines. */
#define STOP_US 1400000
/* The end after --cycles, which nobody waits for: removals, records and graphs take their time. */
#define END_US 100000000
#define FLUSH_MS 250	/* then, for all of the last lines */
#define DRAW_LIMIT_MS 65000
#define CRON_LIMIT_MS 60000
#define FILE_LIMIT_MS 3600000
#define DESCRIPTORS 16384

struct daemon {
	struct context ctx;
	struct operator operator;
	struct act act;
	struct exit_log exits;
	gid_t group;		/* of the control socket */
	struct loop *loop;
	struct output *err;
	struct file_writer out_file, err_file;
	char spool_dir[PATH_MAX + sizeof(CONFIG_DRY_RUN_FOLDER) + 1];
	char lock_path[PATH_MAX];
	int oom_adj;
	int status;

	/* The start. */
	bool spool_told, resolved;
	int spool_err;
	bool installed;		/* the generator's cron entry, or it is being installed */

	/* The end. */
	bool by_signal;
	enum {
		END_NOT_YET,
		END_ACT,	/* outcomes are concluded, and put on disk */
		END_DRAIN,	/* records are sent */
		END_DRAW,
	} end;
	bool drained, drawn, cleaned;
};

static struct daemon the_daemon;

/* --- the parts --------------------------------------------------------------------- */

static int open_cgroups(const struct config *config, int *ret)
{
	char unified[PATH_MAX + 16];
	int err = cgroup_root_open(config->cgroup_root, ret), other;

	if (err == -EMEDIUMTYPE) {
		snprintf(unified, sizeof(unified), "%s/unified", config->cgroup_root);
		if (!cgroup_root_open(unified, &other)) {
			close(other);
			log_line("%s is cgroup v1 with v2 beside it: boot with systemd.unified_cgroup_hierarchy=1; with --cgroup-root %s all containers stay",
				 config->cgroup_root, unified);
		} else {
			log_line("%s is not cgroup v2: boot with systemd.unified_cgroup_hierarchy=1, or give --cgroup-root",
				 config->cgroup_root);
		}
	} else if (err) {
		log_line("can't open %s: %s; give --cgroup-root", config->cgroup_root, strerror(-err));
	}
	return err;
}

static int open_runtime(const struct config *config, const char **ret)
{
	const char *socket = runtime_socket(*config->runtime_socket ? config->runtime_socket : NULL);
	const char *advice = "start Docker, or give --runtime-socket";

	if (socket && !access(socket, R_OK | W_OK)) {
		*ret = socket;
		return 0;
	}
	if (!socket)
		log_line("there is no container runtime's socket: %s", advice);
	else
		log_line("can't use the container runtime's socket %s: %s; %s", socket, strerror(errno),
			 errno == EACCES ? "join the group docker, or run as root" : advice);
	return -ENOENT;
}

/* One that only looks is no danger to another. */
static int take_lock(struct context *ctx)
{
	char reason[LOCK_REASON_SIZE];
	int err;

	if (ctx->config->dry_run)
		return 0;
	err = lock_take(ctx->runtime.socket, ctx->cgroup_root, &ctx->lock, reason);
	if (err)
		log_line("%s", reason);
	return err;
}

static int open_witness(const struct config *config, struct witness **ret)
{
	const struct witness_options options = { .cgroup_root = config->cgroup_root };
	char reason[WITNESS_REASON_SIZE];
	int err;

	if (config->bpf == CONFIG_BPF_NO)
		return 0;
	err = witness_open(&options, ret, reason, sizeof(reason));
	if (!err)
		return 0;
	log_line("%s%s", reason, config->bpf == CONFIG_BPF_TRY ? "; going on without the witness" : "");
	return config->bpf == CONFIG_BPF_TRY ? 0 : err;
}

static int on_witness(sd_event_source *source, int fd, uint32_t events, void *ctx)
{
	(void)source;
	(void)fd;
	(void)events;
	/* Otherwise its ring could overflow between two cycles. */
	exit_log_drain(ctx);
	return 0;
}

static void read_identity(struct context *ctx)
{
	size_t len;
	char *text;

	if (gethostname(ctx->host, sizeof(ctx->host) - 1) || !ctx->host[0])
		strcpy(ctx->host, "unknown");
	strcpy(ctx->boot_id, "unknown");
	if (!file_read_all(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 63, &text, &len)) {
		text[strcspn(text, "\n")] = '\0';
		snprintf(ctx->boot_id, sizeof(ctx->boot_id), "%s", text);
		free(text);
	}
}

/* Runs the loop until something has come, or an operator wishes an end. */
static int run_until(struct daemon *d, const bool *come)
{
	while (!*come && !d->operator.ending)
		if (sd_event_run(d->ctx.event, UINT64_MAX) < 0)
			return -EIO;
	return d->operator.ending ? -EINTR : 0;
}

/* --- the spool --------------------------------------------------------------------- */

static void take_intents(struct daemon *d, const struct spool_start *start)
{
	int err = start->intents_err;

	if (!err)
		err = act_load(&d->act, start->intents, start->intents_len);
	if (err == -EBADMSG)
		log_line("the last run's intents can't be read; they are put aside in %s", d->spool_dir);
	else if (err && err != -ENOENT)
		d->spool_err = err;
	if (d->act.intents.unreadable)
		log_line("%zu entries of the last run's intents are none, and are ignored",
			 d->act.intents.unreadable);
	if (d->spool_err)
		log_line("the last run's intents can't be taken over: %s; look at %s",
			 strerror(-d->spool_err), d->spool_dir);
}

static void on_spool(void *ctx, int err, const struct spool_start *start)
{
	struct daemon *d = ctx;
	const struct config *config = d->ctx.config;

	d->spool_told = true;
	d->spool_err = err;
	if (err == -EBUSY)
		log_line("another monitor runs here (it holds %s/lock); end it first, or look with --dry-run",
			 d->spool_dir);
	else if (err)
		log_line("can't use the spool %s: %s; give --spool DIR", d->spool_dir, strerror(-err));
	if (err)
		return;
	snprintf(d->lock_path, sizeof(d->lock_path), "%s", start->lock_path);
	if (start->slot_damaged)
		log_line("one of the two slots of intents in %s was damaged, or being written when the machine stopped; it is kept as broken-*.json, and what it intended is not known",
			 d->spool_dir);
	if (start->refused_count)
		log_line("%zu batches that the log server has refused are in %s, as refused-*.json", start->refused_count,
			 d->spool_dir);
	err = log_client_new(d->ctx.event, d->ctx.http, d->ctx.spool, config->server, &d->ctx.log);
	if (!err)
		err = log_client_add(d->ctx.log, start->batches, start->batch_count);
	act_init(&d->act, &d->ctx);
	if (!err)
		take_intents(d, start);
	else
		d->spool_err = err;
	operator_start_mode(&d->operator, start->armed, start->why);
}

/* Where a dry run keeps what it would have done: it may run beside one that kills. */
static int find_spool(struct daemon *d)
{
	const struct config *config = d->ctx.config;

	snprintf(d->spool_dir, sizeof(d->spool_dir), "%s%s", config->spool,
		 config->dry_run ? "/" CONFIG_DRY_RUN_FOLDER : "");
	if (!config->dry_run || !mkdir(config->spool, 0700) || errno == EEXIST)
		return 0;
	log_line("can't use the spool %s: %s; give --spool DIR", config->spool, strerror(errno));
	return -errno;
}

/* Forks the disk process, so before there are threads, and before BPF's descriptors. */
static int open_spool(struct daemon *d)
{
	int err = find_spool(d);

	if (err)
		return err;
	err = spool_open(d->ctx.event, d->spool_dir, on_spool, d, &d->ctx.spool);
	if (err) {
		log_line("no process for the spool %s: %s", d->spool_dir, strerror(-err));
		return err;
	}
	err = run_until(d, &d->spool_told);
	/* A second dry run only looks. */
	if (!err && d->spool_err == -EBUSY && d->ctx.config->dry_run) {
		log_line("it goes on, and keeps no records");
		spool_close(d->ctx.spool);
		d->ctx.spool = NULL;
		return 0;
	}
	return err ? err : d->spool_err;
}

/* --- the log server's address ------------------------------------------------------ */

struct resolved {
	int err;
	struct log_endpoint endpoint;
};

static int resolve_in_child(void *ctx, int fd)
{
	const struct daemon *d = ctx;
	struct resolved r = { 0 };

	r.err = log_endpoint_find(d->ctx.config->server, &r.endpoint);
	return write(fd, &r, sizeof(r)) == sizeof(r) ? 0 : 1;
}

static void on_resolved(void *ctx, int status, const char *out, size_t out_len, const char *err)
{
	struct daemon *d = ctx;
	struct resolved r;

	(void)err;
	d->resolved = true;
	if (!status && out_len == sizeof(r)) {
		memcpy(&r, out, sizeof(r));
		if (!r.err) {
			d->ctx.endpoint = r.endpoint;
			return;
		}
	}
	log_line("the log server's address %s is not known here", d->ctx.config->server);
}

static int resolve(struct daemon *d)
{
	if (process_call(d->ctx.event, resolve_in_child, d, RESOLVE_TIMEOUT_MS, on_resolved, d, NULL)) {
		log_line("no process to look the log server's address up");
		return -EAGAIN;
	}
	return run_until(d, &d->resolved);
}

/* --- the workload ------------------------------------------------------------------ */

/* Adds a name to a folder. */
static const char *path_join(const char *folder, const char *name, char *buf, size_t size)
{
	snprintf(buf, size, "%s/%s", folder, name);
	return buf;
}

static void begin_end(struct daemon *d, int status);

static void on_compose(void *ctx, int err, const char *reason)
{
	struct daemon *d = ctx;

	if (!err || d->end != END_NOT_YET)
		return;
	log_line("%s", reason);
	begin_end(d, STATUS_FAILED);
}

static void on_installed(void *ctx, int err, const char *reason)
{
	struct daemon *d = ctx;

	if (!err || d->end != END_NOT_YET)
		return;
	log_line("%s", reason);
	d->installed = false;
	begin_end(d, STATUS_FAILED);
}

/* What an earlier monitor that was killed may have left; no matter if there is no cron. */
static void on_removed_before(void *ctx, int err, const char *reason)
{
	(void)ctx;
	(void)err;
	(void)reason;
}

static void start_workload(struct daemon *d)
{
	const struct config *config = d->ctx.config;
	char path[PATH_MAX + 32];

	if (config->compose)
		compose_up(d->ctx.event, path_join(config->compose_dir, "docker-compose.yml", path, sizeof(path)),
			   d->ctx.runtime.socket, on_compose, d);
	if (config->generator) {
		d->installed = true;
		generator_install(d->ctx.event, path_join(config->compose_dir, "generate", path, sizeof(path)),
				  d->lock_path, d->ctx.runtime.socket, on_installed, d);
	} else {
		generator_remove(d->ctx.event, d->lock_path, on_removed_before, d);
	}
}

/* --- the end ----------------------------------------------------------------------- */

struct removal {
	sd_event *event;
	int err;
	char reason[GENERATOR_REASON_SIZE];
};

static void on_removed(void *ctx, int err, const char *reason)
{
	struct removal *r = ctx;

	r->err = err;
	snprintf(r->reason, sizeof(r->reason), "%s", reason);
	sd_event_exit(r->event, 0);
}

/* In a child, which goes on if crontab takes longer than the monitor may. */
static int remove_in_child(void *ctx, int fd)
{
	const struct daemon *d = ctx;
	struct removal r = { .err = -EIO };

	if (sd_event_new(&r.event) < 0)
		return 1;
	generator_remove(r.event, d->lock_path, on_removed, &r);
	sd_event_loop(r.event);
	if (r.err)
		dprintf(fd, "%s", r.reason);
	return r.err ? 1 : 0;
}

static void on_cleaned(void *ctx, int status, const char *out, size_t out_len, const char *err)
{
	struct daemon *d = ctx;

	(void)out_len;
	(void)err;
	d->cleaned = true;
	if (status)
		log_line("the generator's cron entry may still be there: %s", out);
}

static int draw_in_child(void *ctx, int fd)
{
	const struct config *config = ((struct daemon *)ctx)->ctx.config;
	char reason[DRAW_REASON_SIZE];
	int err = draw_graphs(config->server, config->images, reason);

	if (err)
		dprintf(fd, "%s", reason);
	return err ? 1 : 0;
}

static void on_drawn(void *ctx, int status, const char *out, size_t out_len, const char *err)
{
	struct daemon *d = ctx;

	(void)out_len;
	(void)err;
	d->drawn = true;
	if (status)
		log_line("no graphs: %s", out);
	else
		log_line("graphs are in %s: Memory.png and Processes.png", d->ctx.config->images);
}

static void on_drained(void *ctx)
{
	struct daemon *d = ctx;

	d->drained = true;
}

static void begin_drain(struct daemon *d)
{
	d->end = END_DRAIN;
	if (d->ctx.log)
		log_client_drain(d->ctx.log, on_drained, d);
	else
		d->drained = true;
}

static void begin_draw(struct daemon *d)
{
	struct log_status status = { 0 };

	d->end = END_DRAW;
	if (d->ctx.log)
		log_client_status(d->ctx.log, &status);
	d->drawn = !status.reachable || process_call(d->ctx.event, draw_in_child, d, DRAW_LIMIT_MS, on_drawn,
						     d, NULL);
}

/* After each event: has what is waited for come? */
static int on_post(sd_event_source *source, void *ctx)
{
	struct daemon *d = ctx;

	(void)source;
	/* Nothing that is open can be put on disk any more. */
	if (d->ctx.spool && spool_is_lost(d->ctx.spool))
		sd_event_exit(d->ctx.event, 0);
	if (d->end == END_ACT && act_is_settled(&d->act))
		begin_drain(d);
	if (d->end == END_DRAIN && d->drained)
		begin_draw(d);
	if (d->end == END_DRAW && d->drawn && d->cleaned &&
	    (!d->ctx.spool || !spool_pending(d->ctx.spool)) && !loop_recording_pending(d->loop))
		sd_event_exit(d->ctx.event, 0);
	return 0;
}

static int on_end_timer(sd_event_source *source, uint64_t at_us, void *ctx)
{
	struct daemon *d = ctx;

	(void)source;
	(void)at_us;
	/* That goes on by itself. */
	if (d->end < END_DRAW)
		begin_draw(d);
	sd_event_exit(d->ctx.event, 0);
	return 0;
}

static int set_end_timer(struct daemon *d)
{
	return sd_event_add_time_relative(d->ctx.event, NULL, CLOCK_BOOTTIME,
					  d->by_signal ? STOP_US : END_US, 1000, on_end_timer, d);
}

/* A signal during the end that --cycles has brought: now it is in a hurry. */
static void hurry(struct daemon *d)
{
	d->by_signal = true;
	act_call_off(&d->act);
	act_stop(&d->act);
	act_flush(&d->act);
	if (set_end_timer(d) < 0)
		sd_event_exit(d->ctx.event, 0);
}

static int on_end_defer(sd_event_source *source, void *ctx)
{
	(void)source;
	(void)ctx;
	return 0;
}

/* In order, and each only as far as time allows: see tell_left(). */
static void begin_end(struct daemon *d, int status)
{
	sd_event_source *source;

	if (d->end != END_NOT_YET)
		return;
	d->end = END_ACT;
	d->status = status;
	d->by_signal = d->operator.ending;
	/* Who waits for a grace to pass is spared at once. */
	if (d->by_signal) {
		act_call_off(&d->act);
		act_stop(&d->act);
	}
	if (d->loop)
		loop_stop(d->loop);
	act_flush(&d->act);
	d->cleaned = !d->installed || process_call(d->ctx.event, remove_in_child, d, CRON_LIMIT_MS,
						   on_cleaned, d, NULL);
	if (set_end_timer(d) < 0 ||
	    sd_event_add_post(d->ctx.event, &source, on_post, d) < 0 ||
	    /* For the case that nothing is waited for. */
	    sd_event_add_defer(d->ctx.event, NULL, on_end_defer, d) < 0)
		sd_event_exit(d->ctx.event, 0);
}

/* What the next start finds. */
static void tell_left(struct daemon *d)
{
	struct log_status log = { 0 };
	size_t n, open = 0;

	if (d->ctx.log)
		log_client_status(d->ctx.log, &log);
	if (log.waiting)
		log_line("the log server has not taken %zu batches; they wait in %s", log.waiting, d->spool_dir);
	for (n = 0; n < d->act.intents.count; n++)
		open++;
	if (open)
		log_line("%zu kills have no outcome on record yet; the next start settles them", open);
	if (d->ctx.spool && !operator_is_marked(&d->operator))
		log_line("the disk has not answered: whether it is %s the next start may not know",
			 brake_mode_name(d->operator.brake->mode));
	if (d->loop)
		loop_tell_recording(d->loop);
	if (d->end == END_NOT_YET)
		return;
	if (!d->cleaned)
		log_line("crontab has not answered: the generator's entry is taken out as soon as it does");
	if (d->end == END_DRAW && !d->drawn)
		log_line("the graphs are being drawn still: %s will have them", d->ctx.config->images);
}

/* --- the run ----------------------------------------------------------------------- */

static void on_loop_done(void *ctx)
{
	struct daemon *d = ctx;

	begin_end(d, loop_failure(d->loop) ? STATUS_FAILED : STATUS_DONE);
}

static void on_requested(void *ctx)
{
	struct daemon *d = ctx;

	if (d->operator.ending) {
		/* A second one: at once. */
		if (d->end != END_NOT_YET && d->by_signal)
			sd_event_exit(d->ctx.event, 0);
		else if (d->end != END_NOT_YET)
			hurry(d);
		else
			begin_end(d, STATUS_DONE);
	} else if (d->loop) {
		loop_requested(d->loop);
	}
}

static void tell_status(void *ctx, cJSON *answer)
{
	struct daemon *d = ctx;
	struct log_status log = { 0 };

	loop_status(d->loop, answer);
	cJSON_AddStringToObject(answer, "server", d->ctx.config->server);
	if (d->ctx.log)
		log_client_status(d->ctx.log, &log);
	cJSON_AddBoolToObject(answer, "server_reachable", log.reachable);
	cJSON_AddNumberToObject(answer, "waiting", (double)log.waiting);
	cJSON_AddNumberToObject(answer, "output_lost",
				(double)(output_lost(d->ctx.out) + output_lost(d->err)));
	if (d->ctx.spool)
		cJSON_AddNumberToObject(answer, "disk_pending", (double)spool_pending(d->ctx.spool));
}

static int open_control(struct daemon *d)
{
	const struct config *config = d->ctx.config;
	char reason[CONTROL_REASON_SIZE], path[PATH_MAX + 32];
	int err;

	if (!d->ctx.spool)
		return 0;
	config_control_path(config, path, sizeof(path));
	err = control_new(&d->ctx, path, d->group, tell_status, d,
			  &d->operator.control, reason);
	if (err)
		log_line("%s", reason);
	/* A group that was named is a promise; otherwise the signals are still there. */
	return d->group != CONTROL_NO_GROUP ? err : 0;
}

static bool is_same_file(int a, int b)
{
	struct stat of_a, of_b;

	return !fstat(a, &of_a) && !fstat(b, &of_b) && of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

/* Both streams, from here on without a wait. */
static int open_output(struct daemon *d)
{
	/* Then the lines keep their order. */
	bool both = is_same_file(STDOUT_FILENO, STDERR_FILENO);
	int err = file_writer_divert(STDOUT_FILENO, &d->out_file);

	if (!err && !both)
		err = file_writer_divert(STDERR_FILENO, &d->err_file);
	else if (!err && d->out_file.pidfd >= 0 && dup2(STDOUT_FILENO, STDERR_FILENO) < 0)
		err = -errno;
	if (!err)
		err = output_new(d->ctx.event, STDOUT_FILENO, &d->ctx.out);
	if (!err)
		err = output_new(d->ctx.event, STDERR_FILENO, &d->err);
	if (!err)
		log_use(d->err);
	else
		log_line("no output: %s", strerror(-err));
	return err;
}

/* Each victim whose removal hangs holds a connection. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= DESCRIPTORS)
		return;
	limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_base(struct daemon *d)
{
	int err = sd_event_new(&d->ctx.event);

	raise_descriptors();
	if (err < 0) {
		log_line("no event loop: %s", strerror(-err));
		return err;
	}
	d->operator.ctx = &d->ctx;
	err = operator_open(&d->operator);
	if (!err)
		err = operator_attach(&d->operator, d->ctx.event);
	if (err) {
		log_line("no signals: %s", strerror(-err));
		return err;
	}
	return open_output(d);
}

static int open_recorder(struct daemon *d)
{
	char reason[RECORDER_REASON_SIZE];
	struct recorder *r;
	const char *why = reason;
	int err;

	if (!*d->ctx.config->record)
		return 0;
	err = recorder_open(&d->ctx, &r, reason);
	if (!err) {
		loop_record(d->loop, r);
		err = run_until(d, recorder_opened(r));
		if (err)
			return err;
		err = recorder_error(r, &why);
	}
	if (err)
		log_line("%s", why);
	return err;
}

static int open_loop(struct daemon *d)
{
	char reason[LOOP_REASON_SIZE];
	int err = loop_new(&d->ctx, on_loop_done, d, &d->loop, reason);

	if (err) {
		log_line("%s", reason);
		return err;
	}
	d->operator.brake = loop_brake(d->loop);
	return 0;
}

static int open_sources(struct daemon *d)
{
	struct context *ctx = &d->ctx;
	char reason[OWN_REASON_SIZE];
	int err;

	if (open_cgroups(ctx->config, &ctx->cgroup_root) || open_runtime(ctx->config, &ctx->runtime.socket) ||
	    take_lock(ctx) || open_witness(ctx->config, &ctx->witness))
		return -EIO;
	err = own_containers_find(ctx->cgroup_root, &ctx->own, reason);
	if (err == -EXDEV && !ctx->config->dry_run)
		log_line("%s", reason);
	else if (err && err != -EXDEV)
		return err;
	if (ctx->witness)
		err = sd_event_add_io(ctx->event, NULL, witness_fd(ctx->witness), EPOLLIN, on_witness, ctx);
	return err < 0 && err != -EXDEV ? err : 0;
}

static void tell_start(const struct daemon *d)
{
	const struct config *config = d->ctx.config;

	if (!cgroup_has_memory(d->ctx.cgroup_root))
		log_line("the cgroup v2 at %s has no memory controller, so no container's memory is known, and all stay: boot with systemd.unified_cgroup_hierarchy=1",
			 config->cgroup_root);
	if (config->command == CONFIG_WATCH)
		log_line("watching %s every %ld s; log server %s; lock %s", config->snapshot,
			 config->interval_s, config->server, *d->lock_path ? d->lock_path : "none");
	if (config->command == CONFIG_WATCH && !geteuid() && d->oom_adj > PRIORITY_OOM_ADJ)
		log_line("its oom_score_adj stays at %d, as CAP_SYS_RESOURCE is missing: when memory runs out it may be killed before others",
			 d->oom_adj);
}

static int start(struct daemon *d)
{
	bool watch = d->ctx.config->command == CONFIG_WATCH, locked;
	int err;

	/* Before the disk process, which is to live as long. */
	if (watch)
		priority_protect(&locked, &d->oom_adj);
	else
		locked = false;
	read_identity(&d->ctx);
	err = http_new(d->ctx.event, &d->ctx.http);
	if (err) {
		log_line("libcurl can't be used: %s", strerror(-err));
		return err;
	}
	d->ctx.runtime.http = d->ctx.http;
	act_init(&d->act, &d->ctx);
	err = open_loop(d);
	if (!err && watch)
		err = open_spool(d);
	if (!err)
		err = open_recorder(d);
	if (!err)
		err = open_sources(d);
	/* Its group is set with a capability that goes. */
	if (!err)
		err = open_control(d);
	if (err)
		return err;
	if (watch)
		priority_raise();
	/* The witness is loaded; from here on, nothing needs more.  Threads are made later. */
	err = privilege_drop(locked);
	if (err) {
		log_line("can't give up capabilities: %s", strerror(-err));
		return err;
	}
	err = resolve(d);
	if (err)
		return err;
	if (watch && d->ctx.spool)
		start_workload(d);
	tell_start(d);
	d->operator.changed = on_requested;
	d->operator.changed_ctx = d;
	/* What was requested meanwhile. */
	operator_notify(&d->operator);
	return loop_start(d->loop);
}

static int left_ms(double end_ms)
{
	double left = end_ms - clock_monotonic_ms();

	return left > 0 ? (int)left : 0;
}

/* The last lines; who has asked for the end does not wait for a disk, or a reader. */
static void close_output(struct daemon *d)
{
	bool hurried = d->by_signal || d->operator.ending;
	bool to_file = d->out_file.pidfd >= 0 || d->err_file.pidfd >= 0;
	double end_ms = clock_monotonic_ms() + FLUSH_MS;
	int out_err, err_err;
	sigset_t end;

	/* While it waits without a limit, a signal ends it as it does any program. */
	sigemptyset(&end);
	sigaddset(&end, SIGINT);
	sigaddset(&end, SIGTERM);
	if (to_file && !hurried) {
		sigprocmask(SIG_UNBLOCK, &end, NULL);
		end_ms += FILE_LIMIT_MS;
	}
	output_flush(d->ctx.out, left_ms(end_ms));
	if (!hurried && (output_lost(d->ctx.out) || output_waiting(d->ctx.out) || output_broken(d->ctx.out))) {
		log_line("standard output could not be written");
		d->status = STATUS_FAILED;
	}
	output_flush(d->err, left_ms(end_ms));
	log_use(NULL);
	output_free(d->ctx.out);
	output_free(d->err);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	out_err = file_writer_finish(&d->out_file, left_ms(end_ms));
	err_err = file_writer_finish(&d->err_file, left_ms(end_ms));
	if (!hurried && (out_err || err_err))
		d->status = STATUS_FAILED;
}

int daemon_run(struct config *config, gid_t group)
{
	struct daemon *d = &the_daemon;
	int err;

	d->ctx.config = config;
	d->group = group;
	d->ctx.cgroup_root = -1;
	d->ctx.operator = &d->operator;
	d->ctx.act = &d->act;
	d->ctx.exits = &d->exits;
	d->operator.signals = (struct signals){ -1, -1, false };
	d->out_file.pidfd = d->err_file.pidfd = -1;
	d->status = STATUS_FAILED;
	if (open_base(d))
		return STATUS_FAILED;
	err = start(d);
	if (err == -EINTR)
		d->status = STATUS_DONE;
	if (!err) {
		err = sd_event_loop(d->ctx.event);
		if (err < 0)
			log_line("the event loop: %s", strerror(-err));
		err = 0;
	}
	if (!err)
		tell_left(d);
	if (d->loop && loop_failure(d->loop)) {
		log_line("%s", loop_failure(d->loop));
		d->status = STATUS_FAILED;
	}
	operator_close(&d->operator);
	lock_free(d->ctx.lock);
	close_output(d);
	return d->status;
}
