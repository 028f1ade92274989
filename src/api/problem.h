// SPDX-License-Identifier: Apache-2.0
/*
 * problem.h - errors to HTTP: the one place where an err_kind becomes a status and a type (connect-v2 section 3).
 */
#ifndef API_PROBLEM_H
#define API_PROBLEM_H

#include "api/call.h"

// Whether the client asks for problem documents (RFC 9457).
bool problem_document_wanted(struct http_exchange *x);

struct problem_row {
    int status;
    const char *type;  // the API's word
    const char *title; // the phrase of the status (RFC 9110), for problem documents
};
const struct problem_row *problem_of(enum err_kind kind);

// Drops what of a reply is there and answers call->err in the shape the client accepts. Logs the cause where the answer must not tell it.
void problem_reply(struct call *c);
// For requests that did not become a call (broken bounds). `status` 0: the kind's own.
void problem_write(struct http_exchange *x, enum err_kind kind, int status, const struct err *err);

#endif
