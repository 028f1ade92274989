// SPDX-License-Identifier: Apache-2.0
/*
 * wait.h - exchanges that wait for events to be committed: long polls and event streams. A waiting one costs its memory and no thread.
 *
 * Who waits says what for *before* looking into the store, so that nothing is missed between the look and the sleep:
 *
 *   wait_expect(w, e)            from here on, what is committed is noticed
 *   ... read; is it there? then wait_forget(w, e)
 *   wait_sleep(w, e, until)      WAIT_SLEEPS: `e` is not to be looked at any more; http_resume(e->x) will be called once, when it came or
 * at `until`. WAIT_CAME: it came meanwhile, look again. WAIT_NO: the server stops; answer with what there is.
 *
 * Being woken is a hint: look again, and wait again when it was nothing.
 *
 * Woken by the store's news (waits_news, on the writer's thread): that copies which partners and orders were touched, and nothing else, and
 * only while somebody waits; the waits' own thread finds those concerned. Once a second it also asks the store for each partner that
 * somebody waits for whether there is more in its log than the news told of: what other nodes have written.
 *
 * Any thread may call any of this. Without waits_run everything happens on the caller's thread, and time passes in waits_turn.
 */
#ifndef API_WAIT_H
#define API_WAIT_H

#include "base/clock.h"
#include "base/id.h"
#include "http/http.h"
#include "store/store.h"

#define WAITS_MAX 100000 // beyond it nobody is made to wait

struct party;
struct wait {
    // what for; set before wait_expect
    struct http_exchange *x;
    int64_t partner_id;
    struct uuid order_id; // events of this order; zero: any of the partner's
    uint64_t types;       // bits 1 << type
    // the module's
    enum { WAIT_IDLE, WAIT_EXPECTS, WAIT_ASLEEP, WAIT_WOKEN } state;
    struct wait *next, **link; // the others for the same order's bucket, or partner
    struct party *party;
    struct mono until;
    size_t place; // in the heap
};

struct waits;
struct waits *waits_open(struct store *s, const struct clock *clock);
void waits_close(struct waits *w); // nobody waits any more
NODISCARD enum err_kind waits_run(struct waits *w, struct err *err);
void waits_stop(struct waits *w);  // ends the thread; wakes everybody
void waits_drain(struct waits *w); // wakes everybody; from now on nobody waits
bool waits_draining(const struct waits *w);
size_t waits_count(const struct waits *w);

void waits_news(void *waits, unsigned news); // for store_on_commit, NEWS_EVENTS
void waits_turn(struct waits *w);            // what is due by now
void waits_look(struct waits *w);            // asks the store; waits_run does so every second

void wait_expect(struct waits *w, struct wait *e);
void wait_forget(struct waits *w, struct wait *e);
enum wait_answer { WAIT_SLEEPS, WAIT_CAME, WAIT_NO };
NODISCARD enum wait_answer wait_sleep(struct waits *w, struct wait *e, struct mono until);

#endif
