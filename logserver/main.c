// SPDX-License-Identifier: GPL-2.0
/* The log server: options, start, wait for a signal, stop. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth.h"
#include "graphs.h"
#include "http.h"
#include "limits.h"
#include "probe.h"
#include "store.h"
#include "timestamp.h"

#define VERSION "1.0"

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };

struct options {
	const char *listen, *port, *data, *images;
	int zone_s;
	int64_t rotate_bytes, keep_bytes, keep_days, client_rate;
	const char *tokens, *tls_certificate, *tls_key;
	bool trust_network;
	bool healthcheck;
};

static const char usage[] =
	"Usage: logserver [OPTION]...\n"
	"Keep the records of removed containers and of memory, and draw graphs of them.\n"
	"\n"
	"  --listen ADDR     address to listen on (127.0.0.1)\n"
	"  --port N          port, 0 for any free one (8000)\n"
	"  --data DIR        where logs.jsonl and logsmemory.jsonl are kept (/data)\n"
	"  --images DIR      where /logs/grafica puts its pictures (DIR of --data/images)\n"
	"  --time-zone ZONE  zone of times that name none: UTC or +HH:MM or -HH:MM (UTC)\n"
	"  --rotate-bytes N  close and compress a file of records that is this long (67108864)\n"
	"  --keep-bytes N    remove the oldest closed files beyond this, for each log (all are kept)\n"
	"  --keep-days N     remove closed files whose records are all older (all are kept)\n"
	"  --client-rate N   requests a second for each client, 0 for no limit (1000)\n"
	"  --tokens FILE     let in only who has a bearer token of FILE, for writing and reading:\n"
	"                    lines of TOKEN or TOKEN HOST, whose records are of that host\n"
	"  --trust-network   let in whoever can connect, though ADDR is not this machine's own:\n"
	"                    for a container whose port is published on the host's loopback only\n"
	"  --tls-cert FILE, --tls-key FILE\n"
	"                    speak TLS with this certificate and key (PEM)\n"
	"  --healthcheck     ask the server on this --listen and --port whether it is well;\n"
	"                    exit status 0 if so\n"
	"  --help, --version\n"
	"\n"
	"Records go to DIR as lines of JSON: what is not yet compressed, what is (zstd), and an\n"
	"index that is made from them. The server alone may change them while it runs.\n"
	"\n"
	"Exit status: 0 done, 1 failed while running, 2 bad usage.\n";

__attribute__((format(printf, 1, 2)))
static void complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	flockfile(stderr);
	fputs("logserver: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	funlockfile(stderr);
	va_end(args);
}

static bool read_number(const char *option, const char *text, int64_t least, int64_t most,
			int64_t *ret)
{
	int64_t number;

	if (!*text || strspn(text, "0123456789") != strlen(text) || strlen(text) > 18 ||
	    (number = atoll(text)) < least || number > most) {
		complain("%s %s: must be a number from %lld to %lld", option, text,
			 (long long)least, (long long)most);
		return false;
	}
	*ret = number;
	return true;
}

/* -1: go on; else the exit status. */
static int read_options(int argc, char **argv, struct options *options)
{
	enum { LISTEN = 1, PORT, DATA, IMAGES, ZONE, ROTATE_BYTES, KEEP_BYTES, KEEP_DAYS,
	       CLIENT_RATE, TOKENS, TRUST_NETWORK, TLS_CERT, TLS_KEY,
	       HEALTHCHECK, HELP, SHOW_VERSION };
	static const struct option known[] = {
		{ "listen", required_argument, NULL, LISTEN },
		{ "port", required_argument, NULL, PORT },
		{ "data", required_argument, NULL, DATA },
		{ "images", required_argument, NULL, IMAGES },
		{ "time-zone", required_argument, NULL, ZONE },
		{ "rotate-bytes", required_argument, NULL, ROTATE_BYTES },
		{ "keep-bytes", required_argument, NULL, KEEP_BYTES },
		{ "keep-days", required_argument, NULL, KEEP_DAYS },
		{ "client-rate", required_argument, NULL, CLIENT_RATE },
		{ "tokens", required_argument, NULL, TOKENS },
		{ "trust-network", no_argument, NULL, TRUST_NETWORK },
		{ "tls-cert", required_argument, NULL, TLS_CERT },
		{ "tls-key", required_argument, NULL, TLS_KEY },
		{ "healthcheck", no_argument, NULL, HEALTHCHECK },
		{ "help", no_argument, NULL, HELP },
		{ "version", no_argument, NULL, SHOW_VERSION },
		{ 0 }
	};
	int64_t port;
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case LISTEN:
			options->listen = optarg;
			break;
		case PORT:
			if (!read_number("--port", optarg, 0, 65535, &port))
				return EXIT_USAGE;
			options->port = optarg;
			break;
		case DATA:
			options->data = optarg;
			break;
		case IMAGES:
			options->images = optarg;
			break;
		case ZONE:
			if (timestamp_read_zone(optarg, &options->zone_s)) {
				complain("--time-zone %s: must be UTC or like -06:00", optarg);
				return EXIT_USAGE;
			}
			break;
		case ROTATE_BYTES:
			if (!read_number("--rotate-bytes", optarg, LIMITS_LEAST_ROTATE_BYTES,
					 LIMITS_MOST_ROTATE_BYTES, &options->rotate_bytes))
				return EXIT_USAGE;
			break;
		case KEEP_BYTES:
			if (!read_number("--keep-bytes", optarg, 1, INT64_MAX / 10,
					 &options->keep_bytes))
				return EXIT_USAGE;
			break;
		case KEEP_DAYS:
			if (!read_number("--keep-days", optarg, 1, 36500, &options->keep_days))
				return EXIT_USAGE;
			break;
		case CLIENT_RATE:
			if (!read_number("--client-rate", optarg, 0, 1000000, &options->client_rate))
				return EXIT_USAGE;
			break;
		case TOKENS:
			options->tokens = optarg;
			break;
		case TRUST_NETWORK:
			options->trust_network = true;
			break;
		case TLS_CERT:
			options->tls_certificate = optarg;
			break;
		case TLS_KEY:
			options->tls_key = optarg;
			break;
		case HEALTHCHECK:
			options->healthcheck = true;
			break;
		case HELP:
			fputs(usage, stdout);
			return EXIT_DONE;
		case SHOW_VERSION:
			puts("logserver " VERSION);
			return EXIT_DONE;
		default:
			fputs("Try: logserver --help\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		complain("%s: not an option; try: logserver --help", argv[optind]);
		return EXIT_USAGE;
	}
	if (!options->tls_certificate != !options->tls_key) {
		complain("--tls-cert and --tls-key: one needs the other");
		return EXIT_USAGE;
	}
	return -1;
}

static int check_health(const struct options *options, const struct addrinfo *address)
{
	int err = probe_health(address, options->tls_certificate != NULL);

	if (!err)
		return EXIT_DONE;
	complain("no healthy server on %s port %s: %s", options->listen, options->port,
		 strerror(-err));
	return EXIT_FAILED;
}

static int open_socket(const struct addrinfo *address, int *ret_fd)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1, err;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(fd, address->ai_addr, address->ai_addrlen) || listen(fd, SOMAXCONN)) {
		err = -errno;
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

static bool is_loopback(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
	return address->sa_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

/* "http://127.0.0.1:8000", with the port that the kernel chose if it was to. */
static void say_where(int fd, const char *scheme)
{
	struct sockaddr_storage bound;
	socklen_t len = sizeof(bound);
	char host[NI_MAXHOST], port[NI_MAXSERV];

	getsockname(fd, (struct sockaddr *)&bound, &len);
	getnameinfo((struct sockaddr *)&bound, len, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV);
	printf(strchr(host, ':') ? "listening on %s://[%s]:%s\n" : "listening on %s://%s:%s\n",
	       scheme, host, port);
	fflush(stdout);
}

static void disk_changed(enum record_kind kind, int err)
{
	if (err)
		complain("%s: %s: records are refused until it can be written",
			 store_file_name(kind), strerror(-err));
	else
		complain("%s: records are stored again", store_file_name(kind));
}

/* Something is wrong that only a new start puts right. */
static atomic_bool failed;

static void index_changed(enum record_kind kind, int err)
{
	if (err == -EUCLEAN) {
		complain("%s: its index is damaged; stopping, the next start makes it anew",
			 store_file_name(kind));
		atomic_store(&failed, true);
		kill(getpid(), SIGTERM);
	} else if (err) {
		complain("%s: its index can't be written: %s; trying again", store_file_name(kind),
			 strerror(-err));
	} else {
		complain("%s: its index is written again", store_file_name(kind));
	}
}

static void log_loaded(enum record_kind kind, int err, const struct store_report *report)
{
	const char *name = store_file_name(kind);

	if (err) {
		complain("%s: %s", name, strerror(-err));
		atomic_store(&failed, true);
		kill(getpid(), SIGTERM);
		return;
	}
	printf("%s: %lld records, %lld of them read\n", name, (long long)report->records,
	       (long long)report->read);
	if (report->rebuilt)
		complain("%s: its index was made anew", name);
	if (report->torn)
		complain("%s: cut off %lld bytes of a record that was never acknowledged", name,
			 (long long)report->torn);
	if (report->damaged)
		complain("%s: %lld damaged lines are left as they are and not given out", name,
			 (long long)report->damaged);
}

/* A whole file of PEM, to be freed; NULL: it was complained about. */
static char *read_pem(const char *path)
{
	char *text = calloc(1, LIMITS_PEM_BYTES + 1);
	FILE *file = fopen(path, "re");
	size_t len = 0;

	if (text && file)
		len = fread(text, 1, LIMITS_PEM_BYTES, file);
	if (!len) {
		complain("%s: %s", path, file ? "is empty or can't be read" : strerror(errno));
		free(text);
		text = NULL;
	}
	if (file)
		fclose(file);
	return text;
}

static bool read_credentials(const struct options *options, struct auth *auth,
			     char **ret_certificate, char **ret_key)
{
	size_t line;
	int err;

	if (options->tokens) {
		err = auth_load(options->tokens, auth, &line);
		if (err == -EINVAL && line)
			complain("%s: line %zu is no TOKEN or TOKEN HOST; a token has %d to %d of "
				 "A-Z a-z 0-9 - . _ ~ + / =", options->tokens, line,
				 LIMITS_LEAST_TOKEN_BYTES, LIMITS_TOKEN_BYTES - 1);
		else if (err)
			complain("%s: %s", options->tokens,
				 err == -EINVAL ? "has no token" : strerror(-err));
		if (err)
			return false;
	}
	if (!options->tls_certificate)
		return true;
	*ret_certificate = read_pem(options->tls_certificate);
	*ret_key = *ret_certificate ? read_pem(options->tls_key) : NULL;
	if (*ret_key)
		return true;
	free(*ret_certificate);
	auth_free(auth);
	return false;
}

static int serve(const struct options *options, const struct addrinfo *address,
		 const sigset_t *ends)
{
	struct http_options http_options = { .listen_fd = -1 };
	struct store_options store_options;
	struct graphs *graphs = NULL;
	struct store *store = NULL;
	int status = EXIT_FAILED, number, err;
	char images[PATH_MAX], *certificate = NULL, *key = NULL;
	struct auth auth = { 0 };
	struct http *http;

	if (!read_credentials(options, &auth, &certificate, &key))
		return status;

	if (options->images)
		snprintf(images, sizeof(images), "%s", options->images);
	else
		snprintf(images, sizeof(images), "%s/images", options->data);

	err = graphs_new(&graphs);
	if (err) {
		complain("%s", strerror(-err));
		goto out;
	}
	store_options = (struct store_options){
		.directory = options->data,
		.zone_s = options->zone_s,
		.rotate_bytes = options->rotate_bytes,
		.keep_bytes = options->keep_bytes,
		.keep_ms = options->keep_days * 24 * 3600 * 1000,
		.listener = { graphs, graphs_add, graphs_save_state, graphs_load_state },
		.index_changed = index_changed,
		.loaded = log_loaded,
	};
	err = store_open(&store_options, &store);
	if (err == -EWOULDBLOCK) {
		complain("%s: another log server has its files open", options->data);
		goto out;
	}
	if (err) {
		complain("%s: %s; name a directory that can be written with --data", options->data,
			 strerror(-err));
		goto out;
	}
	/* Mostly all is read by now. Else who asks is told how far it is. */
	err = store_wait(store);
	if (err && err != -EINPROGRESS)
		goto out;
	if (err)
		printf("the index is being made; until then /readyz says how far it is\n");
	if (mkdir(images, 0755) && errno != EEXIST) {
		complain("%s: %s; name another directory with --images", images, strerror(errno));
		goto out;
	}
	http_options = (struct http_options){
		.store = store,
		.graphs = graphs,
		.images = images,
		.zone_s = options->zone_s,
		.auth = options->tokens ? &auth : NULL,
		.client_rate = (double)options->client_rate,
		.tls_certificate = certificate,
		.tls_key = key,
		.disk_changed = disk_changed,
	};
	err = open_socket(address, &http_options.listen_fd);
	if (err) {
		complain("%s port %s: %s; choose another with --listen and --port",
			 options->listen, options->port, strerror(-err));
		goto out;
	}
	err = http_start(&http_options, &http);
	if (err) {
		complain("the HTTP server can't be started");
		close(http_options.listen_fd);
		goto out;
	}
	say_where(http_options.listen_fd, certificate ? "https" : "http");

	sigwait(ends, &number);
	printf("stopping on %s\n", sigabbrev_np(number));
	http_stop(http);
	status = atomic_load(&failed) ? EXIT_FAILED : EXIT_DONE;
out:
	if (store)
		store_close(store);
	if (graphs)
		graphs_free(graphs);
	auth_free(&auth);
	free(certificate);
	free(key);
	return status;
}

int main(int argc, char **argv)
{
	struct options options = { .listen = "127.0.0.1", .port = "8000", .data = "/data",
				   .rotate_bytes = LIMITS_ROTATE_BYTES,
				   .client_rate = LIMITS_CLIENT_RATE };
	struct addrinfo *address, hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM,
	};
	sigset_t ends;
	int status;

	status = read_options(argc, argv, &options);
	if (status >= 0)
		return status;
	if (getaddrinfo(options.listen, options.port, &hints, &address)) {
		complain("--listen %s: must be an address like 127.0.0.1 or ::1", options.listen);
		return EXIT_USAGE;
	}

	if (!options.healthcheck && !options.tokens && !options.trust_network &&
	    !is_loopback(address->ai_addr)) {
		complain("--listen %s: others can reach this address; let in who has a token with "
			 "--tokens, or, if only you can reach it, say --trust-network",
			 options.listen);
		freeaddrinfo(address);
		return EXIT_USAGE;
	}

	/* Before any thread is made, so that the signals come to sigwait() only. */
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* A file-size limit is an error like a full disk, not the end. */
	signal(SIGXFSZ, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	mallopt(M_ARENA_MAX, LIMITS_MALLOC_ARENAS);

	status = options.healthcheck ? check_health(&options, address)
				     : serve(&options, address, &ends);
	freeaddrinfo(address);
	return status;
}
