// SPDX-License-Identifier: Apache-2.0
/*
 * client.h - HTTP to the server: the one place of libcurl in this program.
 *
 * One connection, kept open, one call at a time. A call on the partner's side gets an access token first and gets a new one when the server
 * says that it has expired. An answer of 429 or 503 with Retry-After (nothing was accepted) is tried again a few times. So is a call with
 * an idempotency key that gets no answer.
 */
#ifndef TOPUP_CLIENT_H
#define TOPUP_CLIENT_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "topup/config.h"

enum client_side { SIDE_OPERATOR, SIDE_PARTNER };

#define CLIENT_ANSWER_MAX (64u << 20)

struct client;
struct client_answer {
    int status;      // 0: none came
    struct buf body; // cleared by the next call
    bool json;       // its content type says so
    bool unsure;     // a call with an idempotency key was sent, and nothing was heard: it may have been done
};

NODISCARD enum err_kind client_open(const struct config *config, struct client **out, struct err *err);
void client_close(struct client *c); // NULL is fine
// `body` STR_NONE: none. ERR_NONE: an answer of 2xx. ERR_UNAVAILABLE: no answer, or an overloaded server. Other kinds: the server refused;
// `err` has all its messages.
NODISCARD enum err_kind client_call(struct client *c, enum client_side side, const char *method, const char *path, const char *content_type,
                                    struct str body, struct err *err);
const struct client_answer *client_answer(const struct client *c);
// How long the next calls may take; 0: as usual.
void client_patience(struct client *c, long seconds);
// The next call carries this Idempotency-Key and is repeated when its answer does not come.
void client_idempotent(struct client *c, const char *key);
// Gets an access token now: tells whether the credentials are good.
NODISCARD enum err_kind client_token(struct client *c, struct err *err);
// Waits, unless a signal comes.
void client_pause(long milliseconds);

#endif
