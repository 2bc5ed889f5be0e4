/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every limit of the log server, each with its reason. A client chooses what
 * it sends; these numbers decide what it can cost.
 */
#ifndef LOGSERVER_LIMITS_H
#define LOGSERVER_LIMITS_H

/* A limit's number in a message. */
#define LIMITS_TEXT_(number) #number
#define LIMITS_TEXT(number) LIMITS_TEXT_(number)

/* --- Connections ----------------------------------------------------------- */

/* A thread each: hundreds of monitors, each with one connection now and then. */
#define LIMITS_CONNECTIONS 512
/* Deepest is cJSON in a record of 1 000 nested arrays, where it gives up: it
 * needs more than 96 and less than 128 KiB (measured). */
#define LIMITS_THREAD_STACK_BYTES (256 * 1024)
/* Request line and headers: our own clients need under 1 KiB. */
#define LIMITS_HEADER_BYTES (16 * 1024)
/* Of these, one address has at most this many, so that it can't take them all; all
 * that comes through a container's published port has one address. */
#define LIMITS_CLIENT_CONNECTIONS 384
/* A connection on which nothing moves is closed after this. */
#define LIMITS_IDLE_S 10
/* Headers must be complete this long after the connection or the last answer,
 * however they trickle; a kept connection may be idle before. */
#define LIMITS_HEADER_S (LIMITS_IDLE_S + 10)
/* An answer must be taken within this: a gigabyte at 4 MB/s. */
#define LIMITS_ANSWER_S 240
/* A body must be complete this long after its headers, however it trickles. */
#define LIMITS_UPLOAD_S 30
/* SIGTERM: requests under way get this long; `docker stop` kills after 10 s. */
#define LIMITS_DRAIN_S 8
/* The health check gives up after this; Docker's own default is 30 s. */
#define LIMITS_PROBE_S 5

/* --- Clients ---------------------------------------------------------------- */

/* Requests a second for each client, unless --client-rate says otherwise: a monitor
 * sends one in ten seconds, and one with a full spool some tens in a second. */
#define LIMITS_CLIENT_RATE 1000
/* What a quiet client has saved up, in seconds of that rate. */
#define LIMITS_RATE_BURST_S 2
/* Clients whose rate is followed at one time; 24 bytes each. */
#define LIMITS_RATE_CLIENTS 4096
/* A token of 16 characters can't be guessed at that rate (96 bits). */
#define LIMITS_LEAST_TOKEN_BYTES 16
#define LIMITS_TOKEN_BYTES 128
/* Some thousand hosts. */
#define LIMITS_TOKEN_FILE_BYTES (256 * 1024)
/* A certificate with its chain, or a key. */
#define LIMITS_PEM_BYTES (256 * 1024)

/* --- A request ------------------------------------------------------------- */

/* 1 000 records of about 700 bytes, the usual size, fit. */
#define LIMITS_BODY_BYTES (1024 * 1024)
/* Arenas of malloc. glibc makes one for nearly every thread, each of which keeps
 * what its largest request needed. */
#define LIMITS_MALLOC_ARENAS 2
/* All bodies held at one time: what bounds the memory, not the connections. */
#define LIMITS_BODIES_BYTES (6 * 1024 * 1024)
/* Answers of records under way: each holds a block, its frame and a buffer, some
 * 0.2 MiB. More get 503. */
#define LIMITS_STREAMS 32
/* zlib's sizes for a compressed answer: 40 KiB for each of the streams. */
#define LIMITS_GZIP_WINDOW_BITS 12
#define LIMITS_GZIP_MEMORY_LEVEL 5
/* A shorter text is sent as it is: it fits into a packet. */
#define LIMITS_GZIP_LEAST_BYTES 1200
/* A refused body is read and dropped up to here, so that the client gets to
 * see the answer (closing early resets the connection under it). */
#define LIMITS_REFUSED_BODY_BYTES (8 * 1024 * 1024)
/* One request's validation holds about 450 bytes for each of its records. */
#define LIMITS_RECORDS 1000
/* The request target; the longest sensible one is a query of 200 bytes. */
#define LIMITS_TARGET_BYTES 2048
/* `limit` of a query. */
#define LIMITS_QUERY_RECORDS 100000
/* Records of a page where the query has a cursor and no limit. */
#define LIMITS_PAGE_RECORDS 1000

/* --- A record -------------------------------------------------------------- */

/* As sent and as stored. A command's reason and a long image name fit. */
#define LIMITS_RECORD_BYTES 8192
/* Known fields of a kill (23), and twice as many that we don't know. */
#define LIMITS_RECORD_FIELDS 64
/* Names of fields. */
#define LIMITS_FIELD_NAME_BYTES 64
/* Unknown fields may be objects and arrays, as evidence is: a receipt with a line for
 * each of some dozen processes. So deep, and so many values in all of a record's. */
#define LIMITS_UNKNOWN_DEPTH 4
#define LIMITS_UNKNOWN_VALUES 256
/* Strings in unknown fields, `reason` and `outcome`. */
#define LIMITS_STRING_BYTES 1024
/* "<host>:<boot id>:<sequence>" and its like. */
#define LIMITS_EVENT_ID_BYTES 128
/* Linux's HOST_NAME_MAX. */
#define LIMITS_HOST_BYTES 64
/* Docker's names are shorter than 128, an image reference than 512. */
#define LIMITS_NAME_BYTES 256
#define LIMITS_IMAGE_BYTES 512
/* Short words: class, action, signal, boot_id, container_id. */
#define LIMITS_WORD_BYTES 128
/* Integers above this change when they pass through a double (RFC 8259, 6). */
#define LIMITS_INTEGER 9007199254740991.0
/* pid: the kernel's PID_MAX_LIMIT on 64 bits. */
#define LIMITS_PID 4194304.0
/* Percentages: 100 % of each of 8 192 CPUs, x86's CONFIG_NR_CPUS at most. */
#define LIMITS_PERCENT 819200.0
/* Timestamps: 1970 up to here (year 2200), so that sums of them stay small. */
#define LIMITS_TIME_MS (7258118400LL * 1000)

/* --- Files and index --------------------------------------------------------- */

/* A block of lines: what is read to find a record, and a frame of a compressed
 * file. Smaller ones compress worse, larger ones cost each query more. */
#define LIMITS_BLOCK_BYTES (64 * 1024)
/* A block's filter of names; see block.c. 10 million records: 30 MB of index. */
#define LIMITS_BLOCK_NAMES_BYTES 512
/* A file is closed and compressed when it is this long: 0.3 s of work, and the
 * grain in which old records are removed. */
#define LIMITS_ROTATE_BYTES (64 * 1024 * 1024)
#define LIMITS_LEAST_ROTATE_BYTES (64 * 1024)
#define LIMITS_MOST_ROTATE_BYTES (256 * 1024 * 1024)
/* A start with no more than this to read (after a kill; half a second) reads it, then
 * listens; with more it listens at once and answers 503 until it has read it. */
#define LIMITS_LOAD_AWAITED_BYTES (32 * 1024 * 1024)
/* Records that are brought to the index in one go: enough of them lie on the same
 * pages, few enough are read again after a kill -9 (a tenth of a second). */
#define LIMITS_INDEX_RECORDS 8192
/* Fewer wait this long for more. */
#define LIMITS_INDEX_LAZY_S 30
/* Their ids are held in memory: 2 MiB at this many. Beyond it, storing waits. */
#define LIMITS_INDEX_PENDING 32768
/* An index that can't be written is tried again after this. */
#define LIMITS_INDEX_RETRY_S 1
/* SQLite's cache for each of three connections of each log; the rest is the
 * kernel's page cache, which is not ours. */
#define LIMITS_INDEX_CACHE_KIB 1024
/* The write-ahead log is folded into the index when it has this many pages (16
 * MiB): rarely enough that a page is written once for many records. */
#define LIMITS_INDEX_WAL_PAGES 4096
/* One connection waits for another at most this long; it never should. */
#define LIMITS_INDEX_BUSY_MS 5000
/* One write and one fdatasync take at most this much of what waits. */
#define LIMITS_GROUP_BYTES (8 * 1024 * 1024)

/* --- Graphs ---------------------------------------------------------------- */

/* Points of a line: more than a picture 1 600 pixels wide can show. */
#define LIMITS_SERIES_BINS 1024
/* Hosts whose memory is followed; 57 KiB each. Later ones are only stored. */
#define LIMITS_SERIES_HOSTS 64
/* Bars: the most that are told apart on that picture. */
#define LIMITS_SERIES_KILLS 500
/* Containers that ended otherwise: as many as the page has rows. */
#define LIMITS_SERIES_OTHERS LIMITS_PAGE_KILLS
/* Images counted one by one; the rest are counted together. */
#define LIMITS_SERIES_IMAGES 16
/* Rows of each of the page's tables. */
#define LIMITS_PAGE_KILLS 25
/* A graph takes 0.1 to 0.4 s; gnuplot is killed after this. */
#define LIMITS_PLOT_S 20
/* A picture of 500 bars is 0.4 MiB as SVG. */
#define LIMITS_PLOT_BYTES (8 * 1024 * 1024)

#endif
