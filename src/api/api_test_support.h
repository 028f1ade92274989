// SPDX-License-Identifier: Apache-2.0
/*
 * api_test_support.h - the whole API in process: a store in a temporary folder, two partners with products and SIMs, a clock that stands
 * still, and calls handed to api_handler() without a socket. One thread; the store runs its jobs inside the call.
 *
 * For *_test.c files only. Whatever fails here fails the test that asked for it.
 */
#ifndef API_API_TEST_SUPPORT_H
#define API_API_TEST_SUPPORT_H

#include "base/testing.h"

#include "api/routes.h"
#include "base/json.h"
#include "core/order.h"

#define TEST_BASE_URL "https://api.example.com/connect-api"
#define TEST_QR_URL "https://api.example.com/connect/qrcode/v1/esim"
#define TEST_NOW "2026-11-23T12:00:00Z"

// partner 1's catalogue; partner 2 has the first of them, too, under the same id
#define PRODUCT_BOTH "kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak=" // eSIM and pSIM, 20 EUR, 30 days, 1 GB, EUROPE
#define PRODUCT_ESIM "wp-_bXkuC26SFDSRMHyiAQK7LJ6MtiWyr3zLfwB7FM="  // eSIM, 25.50 USD, 90 days, 50 MB, GLOBAL; 43 characters, as documented
#define PRODUCT_OFF "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="  // not on sale
#define PRODUCT_NONE "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA=" // in nobody's catalogue

// SIMs
#define PSIM_ACTIVE "8944472600000510740" // partner 1, activated
#define PSIM_STOCK "8944472600000510757"  // partner 1, not activated
#define ESIM_OK "8944472600000510765"     // partner 1, activated, Released
#define ESIM_GONE "8944472600000510773"   // partner 1, activated, Unavailable
#define PSIM_OTHER "8944472600000510781"  // partner 2, activated
#define SIM_NOBODY "8944472600000510799"  // in nobody's hands

struct api_test {
    char folder[64];
    struct clock_manual clock_state;
    struct clock clock;
    struct rng_seeded rng_state;
    struct rng rng;
    struct store *store;
    struct auth *auth;
    struct api *api;
    bool threaded;
    struct http_handler handler;
    struct arena arena; // tokens, partners
    struct partner partner[2];
    struct str token[2]; // "Bearer ..."
};
void api_test_open(struct api_test *t);
// The same with routes of the test's own; `threaded`: with the store's writer and the API's turns on threads of their own.
void api_test_open_routes(struct api_test *t, const struct route *routes, size_t n, bool threaded);
void api_test_close(struct api_test *t);
// An operator, olga, and the header of her calls (made as nobody, -1).
void api_test_operator(struct api_test *t);

// ---- calls ----
struct answer {
    int status;
    struct buf body;
    json_t *json; // NULL when the body is no JSON object
    char content_type[64], location[256], cache_control[64], correlation[160], replayed[8], preference_applied[64];
};
struct header {
    const char *name, *value;
};
extern const struct header api_test_as_operator[]; // once there is one: api_test_operator
// `token` 0 or 1: as that partner; -1: as nobody. `body` NULL: none; else it is sent as JSON. `headers` (ended by a NULL name) may be NULL.
// The answer of the call before is dropped.
void api_test_call(struct api_test *t, struct answer *a, int token, enum http_method method, const char *target, const char *body,
                   const struct header *headers);
void answer_release(struct answer *a);

// The same in two steps, for a call that may wait. It must not wait any more when it is ended; with threads the end waits for it.
struct exchange;
struct exchange *api_test_begin(struct api_test *t, int token, enum http_method method, const char *target, const char *body,
                                const struct header *headers);
bool api_test_waits(struct exchange *e);
void api_test_end(struct api_test *t, struct exchange *e, struct answer *a);
// The same, after it has been given the chance to go on if it was resumed.
bool api_test_asleep(struct api_test *t, struct exchange *e);
// What a stream says now; false: it has ended. A stream may be ended at any time, like a client that leaves while it is not asleep.
bool api_test_more(struct api_test *t, struct exchange *e, struct buf *said);

#define GET(target) api_test_call(&t, &a, 0, HTTP_GET, target, NULL, NULL)
#define POST(target, body) api_test_call(&t, &a, 0, HTTP_POST, target, body, NULL)

// A value in the answer by its path ("_metadata.links._self", "data.0.id"); NULL when it is not there.
json_t *answer_at(const struct answer *a, const char *path);
const char *answer_text(const struct answer *a, const char *path); // "" when it is no string
void assert_answer(const struct answer *a, int status);            // says what came instead
// An error of this status and type whose messages are these beginnings, in any order and no others; ended by NULL.
void assert_problem(const struct answer *a, int status, const char *type, ...);

// ---- what the engine would do, straight into the store ----
// The order is COMPLETED: its SIM is active, its subscription there.
void api_test_complete(struct api_test *t, const char *order_id);
void api_test_fail(struct api_test *t, const char *order_id, const char *why);
// Runs `fn` as a job that must succeed.
void api_test_job(struct api_test *t, enum err_kind (*fn)(struct tx *tx, void *ctx, struct err *err), void *ctx);

#endif
