// SPDX-License-Identifier: Apache-2.0
/*
 * err.h - what can go wrong, as a value.
 *
 * Every function that can fail returns a must-check `enum err_kind` and takes `struct err *` last. The one that finds the failure
 * fills it; those above pass it on. A kind is mapped once to an HTTP status (api/problem.c), once to an engine decision
 * (engine/settle.c) and once to an exit code (topup/).
 *
 * One error may carry several messages (all the faults of a body at once). Messages are for people: they name the field and
 * what is wrong with it, never anything internal. They are UTF-8, at most ERR_TEXT_MAX bytes in all; what does not fit is
 * dropped and the last message says so.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/base.h"

enum err_kind {
    ERR_NONE = 0,
    ERR_MALFORMED,    // does not parse (HTTP 400 INVALID_HTTP_MESSAGE)
    ERR_INVALID,      // parses, but content is missing or wrong (400 INVALID_REQUEST_PARAMS)
    ERR_UNAUTHORISED, // no token, or not a good one (401)
    ERR_DENIED,       // belongs to somebody else, or not this token's business (403)
    ERR_NOT_FOUND,    // (404)
    ERR_METHOD,       // path known, method not (405)
    ERR_CAP,          // the partner's cap of new activations is used up (406)
    ERR_CONFLICT,     // the state forbids it (409)
    ERR_GONE,         // was there, fell off the end (410)
    ERR_TOO_LARGE,    // (413)
    ERR_MEDIA_TYPE,   // (415)
    ERR_MISMATCH,     // an idempotency key came again with another body (422)
    ERR_RATE,         // too many requests (429)
    ERR_BUSY,         // a queue is full: nothing was accepted, come back (503)
    ERR_UNAVAILABLE,  // store or peer is away: nothing was sent (503)
    ERR_UNSURE,       // sent, no answer: nobody knows; probe before repeating
    ERR_REFUSED,      // the peer said no, for good
    ERR_RETRY,        // run the transaction again (serialization failure)
    ERR_CORRUPT,      // stored bytes are not what we wrote
    ERR_INTERNAL,     // our bug, or the machine's (500)
    ERR_KINDS
};

#define ERR_TEXT_MAX 3072
#define ERR_MESSAGES_MAX 64

struct err {
    enum err_kind kind;
    unsigned count;          // messages in `text`
    size_t used;             // bytes of `text` in use, NULs included
    char text[ERR_TEXT_MAX]; // `count` NUL-terminated messages, one after the other
};

// An err starts as {0}; err_clear makes it so again (without wiping the text).
void err_clear(struct err *err);

// Replaces whatever was there. Returns `kind`, so a function may end with `return err_set(...)`; in a macro, so that compilers and
// analysers see that a failure is what is returned.
void err_set_message(struct err *err, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
#define err_set(err, kind, ...)                                                                                                            \
    ({                                                                                                                                     \
        enum err_kind err_set_kind = (kind);                                                                                               \
        err_set_message((err), err_set_kind, __VA_ARGS__);                                                                                 \
        err_set_kind;                                                                                                                      \
    })

// Adds one message. MALFORMED outranks INVALID outranks DENIED outranks CONFLICT outranks the rest: a body with a date that does not parse
// and a missing field is malformed, and what is wrong with the body comes before what the world has against it. Among the rest the first
// stands. Returns the kind that now stands.
enum err_kind err_add(struct err *err, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);

// The i-th message, or NULL beyond the last. err_first never returns NULL ("unknown error" when empty).
const char *err_message(const struct err *err, unsigned i);
const char *err_first(const struct err *err);

// "invalid", "not_found", ...: the word for logs and metrics.
const char *err_kind_name(enum err_kind kind);

#endif
