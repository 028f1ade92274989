// SPDX-License-Identifier: Apache-2.0
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char dropped[] = "there are more faults than are listed here";

// Room for `dropped` is always kept, so that it can be said.
#define TEXT_LIMIT (ERR_TEXT_MAX - sizeof(dropped))

void err_clear(struct err *err) {
    err->kind = ERR_NONE;
    err->count = 0;
    err->used = 0;
    err->text[0] = '\0';
}

static int rank(enum err_kind kind) {
    switch (kind) {
    case ERR_NONE:
        return 0;
    case ERR_MALFORMED:
        return 5;
    case ERR_INVALID:
        return 4;
    case ERR_DENIED:
        return 3;
    case ERR_CONFLICT:
        return 2;
    default:
        return 1;
    }
}

static void append(struct err *err, const char *text, size_t n) {
    memcpy(err->text + err->used, text, n);
    err->text[err->used + n] = '\0';
    err->used += n + 1;
    err->count++;
}

static void append_message(struct err *err, char *text, size_t n) {
    if (err->count == 0 && n + 1 > TEXT_LIMIT) {
        n = TEXT_LIMIT - 1;
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80) { // not in the middle of a character
            n--;
        }
    }
    if (err->used + n + 1 <= TEXT_LIMIT && err->count < ERR_MESSAGES_MAX - 1) {
        append(err, text, n);
        return;
    }
    const char *last = err_message(err, err->count - 1);
    if (strcmp(last, dropped) != 0) {
        append(err, dropped, sizeof(dropped) - 1);
    }
}

// The message is built aside: its arguments may lie in err->text (wrapping an error in a sentence).
static size_t PRINTF_LIKE(3, 0) build(char *out, size_t size, const char *fmt, va_list ap) {
    int n = vsnprintf(out, size, fmt, ap);
    if (n < 0) {
        out[0] = '\0';
        return 0;
    }
    return (size_t)n < size ? (size_t)n : size - 1;
}

void err_set_message(struct err *err, enum err_kind kind, const char *fmt, ...) {
    char text[ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    size_t n = build(text, sizeof(text), fmt, ap);
    va_end(ap);
    err_clear(err);
    err->kind = kind;
    append_message(err, text, n);
}

enum err_kind err_add(struct err *err, enum err_kind kind, const char *fmt, ...) {
    char text[ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    size_t n = build(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (rank(kind) > rank(err->kind)) {
        err->kind = kind;
    }
    append_message(err, text, n);
    return err->kind;
}

const char *err_message(const struct err *err, unsigned i) {
    if (i >= err->count) {
        return NULL;
    }
    const char *p = err->text;
    while (i-- > 0) {
        p += strlen(p) + 1;
    }
    return p;
}

const char *err_first(const struct err *err) {
    return err->count > 0 ? err->text : "unknown error";
}

const char *err_kind_name(enum err_kind kind) {
    static const char *const names[ERR_KINDS] = {
        [ERR_NONE] = "none",         [ERR_MALFORMED] = "malformed", [ERR_INVALID] = "invalid",     [ERR_UNAUTHORISED] = "unauthorised",
        [ERR_DENIED] = "denied",     [ERR_NOT_FOUND] = "not_found", [ERR_METHOD] = "method",       [ERR_CAP] = "cap",
        [ERR_CONFLICT] = "conflict", [ERR_GONE] = "gone",           [ERR_TOO_LARGE] = "too_large", [ERR_MEDIA_TYPE] = "media_type",
        [ERR_MISMATCH] = "mismatch", [ERR_RATE] = "rate",           [ERR_BUSY] = "busy",           [ERR_UNAVAILABLE] = "unavailable",
        [ERR_UNSURE] = "unsure",     [ERR_REFUSED] = "refused",     [ERR_RETRY] = "retry",         [ERR_CORRUPT] = "corrupt",
        [ERR_INTERNAL] = "internal",
    };
    return (unsigned)kind < ERR_KINDS ? names[kind] : "unknown";
}
