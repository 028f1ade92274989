// SPDX-License-Identifier: Apache-2.0
/*
 * log.h - structured log lines (logfmt: ts=... level=... event=... key=value ...), one line an event, on standard error.
 *
 * Callable from any thread. A line is built on the stack, cut at LOG_LINE_MAX, values quoted and escaped so that a line stays a
 * line whatever came from outside. Lines go through a bounded buffer that a thread of its own writes out: a slow terminal never holds up
 * the server; lines that do not fit are counted and the count is logged. ERROR and above are written at once. Never log a secret, a token,
 * a key, a message body or a subscriber's name or email.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/base.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_field {
    const char *key; // NULL ends the list
    enum { LOG_F_STR, LOG_F_INT, LOG_F_UUID, LOG_F_ERR, LOG_F_TEXT } type;
    union {
        struct str s;
        int64_t i;
        struct uuid id;
        const struct err *err;
        const char *text;
    } v;
};

#define LOG_STR(k, x)                                                                                                                      \
    { .key = (k), .type = LOG_F_STR, .v.s = (x) }
#define LOG_TEXT(k, x)                                                                                                                     \
    { .key = (k), .type = LOG_F_TEXT, .v.text = (x) } // a C string; NULL leaves the field out
#define LOG_INT(k, x)                                                                                                                      \
    { .key = (k), .type = LOG_F_INT, .v.i = (x) }
#define LOG_ID(k, x)                                                                                                                       \
    { .key = (k), .type = LOG_F_UUID, .v.id = (x) }
#define LOG_ERR(x)                                                                                                                         \
    { .key = "error", .type = LOG_F_ERR, .v.err = (x) } // kind and first messages

void log_write(enum log_level level, const char *event, const struct log_field *fields);

// log_info("order.accepted", LOG_ID("order", id), LOG_INT("partner", p)); fields may be left out altogether.
#define log_debug(...) LOG_AT(LOG_DEBUG, __VA_ARGS__, {.key = NULL})
#define log_info(...) LOG_AT(LOG_INFO, __VA_ARGS__, {.key = NULL})
#define log_warn(...) LOG_AT(LOG_WARN, __VA_ARGS__, {.key = NULL})
#define log_error(...) LOG_AT(LOG_ERROR, __VA_ARGS__, {.key = NULL})
#define LOG_AT(level, event, ...)                                                                                                          \
    do {                                                                                                                                   \
        if ((level) >= log_threshold)                                                                                                      \
            log_write((level), (event), (const struct log_field[]){__VA_ARGS__});                                                          \
    } while (0)

#define LOG_LINE_MAX 4096
extern enum log_level log_threshold; // set once at start
bool log_level_parse(struct str text, enum log_level *out);

void log_start(int fd); // starts the writing thread; before it, and after log_stop, lines are written directly
void log_stop(void);    // writes what is buffered, ends the thread
void log_flush(void);

#endif
