// SPDX-License-Identifier: Apache-2.0
/*
 * server.h - the whole server in one thread: store, API and two engines on a virtual clock, from a seed.
 *
 * Calls are handed to api_handler() without a socket; engines are stepped; network elements are peer/fake with a script. The store is a
 * folder in memory. server_crash ends everything from one moment to the next and goes on from an image of the files as a power cut leaves
 * them: the log's tail after the last commit that was made is cut anywhere.
 *
 * What must not happen here ends the process: sim_fail says the seed.
 */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include "api/api.h"
#include "base/json.h"
#include "engine/engine.h"
#include "peer/fake.h"
#include "store/db_fault.h"

#define PARTNERS 3
#define PRODUCTS 5
#define PSIMS 10 // the first half in service already
#define PROFILES 8
#define ENGINES 2
#define SANDBOX 2         // the partner that is one
#define OPERATOR PARTNERS // who calls: a partner's number, or this

struct sim_product {
    const char *id, *name;
    unsigned types; // enum sim_type bits
    int64_t bytes;
    bool on_sale, first_usage;
};
extern const struct sim_product sim_products[PRODUCTS];          // every partner has them all
extern const int sim_cap_day[PARTNERS], sim_cap_month[PARTNERS]; // 0: none
// Partners' numbers in the store are 1, 2, 3. SIM `i` of partner `p`; PSIMS + i: a profile.
void sim_iccid(int p, int i, char out[20]);

NORETURN void sim_fail(const char *format, ...) PRINTF_LIKE(1, 2);

struct server {
    char folder[64], store_folder[96];
    int images;
    struct clock_manual time;
    struct clock clock;
    struct rng_seeded rng_state;
    struct rng rng;
    struct db_fault fault;
    int64_t log_heard; // size of the database's log before a commit whose answer got lost; -1
    struct store *store;
    struct auth *auth;
    struct api *api;
    struct http_handler handler;
    struct engine *engines[ENGINES];
    struct peer *element; // NULL: the built-in network alone
    unsigned outside;     // kinds of task that the element serves, bits
    bool at_once;         // the first engine settles what it can in the transaction that accepts it
    struct str tokens[PARTNERS];
    struct wall tokens_made;
    struct arena token_memory;
};

// The folder that every run begins with: partners, catalogue, SIMs, keys. Made once for a process.
void server_template_make(const char *folder);
void server_template_remove(const char *folder);

// `script` NULL: the built-in network alone. Otherwise the element serves the kinds of task in `outside`. An odd seed: with at_once.
void server_open(struct server *s, const char *template, uint64_t seed, const char *script, unsigned outside);
void server_close(struct server *s);
// The nth call of the database from now on; 0: none.
void server_fault(struct server *s, enum fault_mode mode, int64_t at);
// Fails when the fault strikes; then it is to be crashed and started again.
bool server_start(struct server *s);
void server_crash(struct server *s, const struct rng *dice); // not started afterwards
// Starts on what another process has left that had this very struct in shared memory; with the built-in network only.
void server_inherit(struct server *s);
extern bool server_code; // a call is inside the server, not in what surrounds it here
void server_engine_start(struct server *s, int i);
void server_engine_drop(struct server *s, int i);

struct call_out {
    int who;
    enum http_method method;
    char target[256];
    char body[4096]; // "": none
    char correlation[64], key[64];
    // the answer
    int status;
    json_t *json;
    uint64_t hash; // of the body
    bool replayed; // says that it is an answer given before
};
// Several at once: their jobs share a transaction.
void server_call(struct server *s, struct call_out *calls, size_t n);
void call_release(struct call_out *c);

#endif
