// SPDX-License-Identifier: Apache-2.0
/*
 * model.h - what must hold of the server, said a second time and without its code: what was asked and what was answered, and the judgement
 * that compares this with the database file, read with SQL alone.
 *
 * A request has one of three fates: *acknowledged* (2xx: what it asked for is there for ever), *refused* (4xx and 503: nothing of it is
 * there), *in doubt* (500, or the server was gone before it answered: all of it is there, or nothing). model_judge settles doubts.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_ORDERS 600
#define MODEL_RECORDS 600

enum fate { FATE_REFUSED, FATE_DOUBT, FATE_ACKNOWLEDGED };

struct model_order {
    enum fate fate;
    char id[40]; // known when it is there
    int partner; // 1, 2, 3
    int operation, sim_type, product;
    char iccid[20]; // ""
    int state;      // as last seen
    char *body;     // of a request that came with the key "k-n": it may come again. NULL otherwise
    int status;     // its last answer, when that stays; 0
    int wrong;      // what was made wrong about it
    unsigned tries;
};

struct model_record {
    enum fate fate;
    int64_t total;
    int64_t unrated; // when acknowledged
    bool exists;
};

struct model {
    struct model_order orders[MODEL_ORDERS]; // order `n` came with the correlation id "c-n-..."
    size_t n_orders;
    struct model_record records[MODEL_RECORDS]; // record `n` has the id "u-n"
    size_t n_records;
    int64_t doubts_there, doubts_not_there; // how doubts came out
};

struct peer;
// Reads the file of what may never be found in the database; once, before all else.
void model_learn(const char *path);
// Reads the database in `folder`; ends the process (sim_fail) where it is not as it must be. `element`: the outside network's books, NULL
// when there is none; `whole_plan`: it serves every step. `ended`: every order has come to its end.
void model_judge(struct model *m, const char *folder, struct peer *element, bool whole_plan, bool ended, int64_t now_ms);
// Every event of the store, into the hash of the run.
uint64_t model_hash(const char *folder, uint64_t hash);

#endif
