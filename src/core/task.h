// SPDX-License-Identifier: Apache-2.0
/*
 * task.h - one call to one peer on an order's behalf; the plan that an order becomes; the task's state machine.
 *
 *   BLOCKED   an earlier task of this order, or an earlier order on the same SIM, is not finished
 *   READY     may be claimed once due_at has come
 *   CLAIMED   a node holds the lease until lease_until and is calling the peer
 *   PARKED    given up on by the machine, waits for an operator (topup order retry)
 *   DONE      the peer did it
 *   REFUSED   the peer said no, for good
 *   UNDONE    it was done and has been taken back, or never started because an earlier one was refused
 *
 * `verb` says what the next (or running) call is: START it; PROBE whether an unanswered one happened; CANCEL what was done. Outside CLAIMED
 * and DONE, START means that we know it has not happened.
 * A crash with a lease held leaves CLAIMED; when the lease has run out the task is claimed again with PROBE, never with a blind START,
 * because nobody knows how far the call came. `identity` is the same for every attempt of a task: what reaches the peer under it happens at
 * most once.
 */
#ifndef CORE_TASK_H
#define CORE_TASK_H

#include "base/base.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "core/order.h"

enum task_kind {
    TASK_PROFILE_RESERVE, // SM-DP+: downloadOrder and confirmOrder, not released
    TASK_NETWORK_ENABLE,  // HLR: the SIM is known and may attach
    TASK_PROFILE_RELEASE, // SM-DP+: releaseProfile
    TASK_ALLOWANCE_ADD,   // charging: the network learns of new allowance
};
enum task_state { TASK_BLOCKED, TASK_READY, TASK_CLAIMED, TASK_PARKED, TASK_DONE, TASK_REFUSED, TASK_UNDONE };
enum task_verb { TASK_START, TASK_PROBE, TASK_CANCEL };
enum outcome_kind {
    OUTCOME_DONE,        // it is so
    OUTCOME_NOT_DONE,    // answer to PROBE: it never happened, START is safe
    OUTCOME_REFUSED,     // no, for good
    OUTCOME_UNAVAILABLE, // not sent
    OUTCOME_UNSURE,      // sent, no answer
};
#define TASK_KINDS 4

// Who serves the task, and so whom it may stand behind: what waits in one lane holds up no other. Chosen at acceptance.
enum task_lane {
    LANE_LIVE,      // the configured network elements
    LANE_SANDBOX,   // a sandbox partner's: the built-in network, whatever is configured
    LANE_REHEARSAL, // a sandbox partner's that is to fail or dawdle (core/sandbox.h)
};
#define TASK_LANES 3
extern const char *const task_kind_words[];
extern const char *const task_state_words[];
extern const char *const task_verb_words[];
extern const char *const outcome_words[];

#define PLAN_MAX 4
#define TASK_ATTEMPTS_MAX 12 // then PARKED; about 6 hours with the retry schedule

struct task {
    int64_t id; // time-ordered row key: the order of acceptance
    struct uuid order_id;
    int64_t partner_id;
    iccid_t iccid; // ICCID_NONE until a profile is chosen
    int step;      // 0-based place in the plan
    enum task_kind kind;
    enum task_lane lane;
    struct str peer; // name of the configured peer ("builtin", "hlr1"), set when first claimed; STR_NONE before
    enum task_state state;
    enum task_verb verb;
    struct wall due_at;        // real time, also for sandbox partners
    struct wall lease_until;   // WALL_NONE unless CLAIMED
    int64_t lease_owner;       // node number
    int attempts;              // calls begun
    enum outcome_kind outcome; // of the last call; meaningful when attempts > 0 and not CLAIMED
    struct str note;           // what the peer said, for people; STR_NONE
    struct wall started, settled;
};

// The steps an order needs, in the order in which they are called. Returns how many (1..PLAN_MAX).
int order_plan(const struct order *o, enum task_kind out[PLAN_MAX]);

// Delay before attempt `attempts + 1`: exponential from 1 s to 1 h, +-25 % jitter drawn from `random`.
int64_t task_backoff_ms(int attempts, uint64_t random);

// A node takes the task, READY or CLAIMED with its lease run out, to call the peer: CLAIMED, one attempt more, `started` at the first. A
// START whose lease has run out becomes a PROBE. False: too many attempts; it is PARKED instead.
NODISCARD bool task_claim(struct task *t, int64_t owner, struct wall now, struct wall lease_until);

// What becomes of a task when its call has come back. Pure: changes state, verb, due_at, outcome, lease, settled (attempts are counted by
// task_claim). `now` is real time.
// DONE -> DONE; REFUSED -> REFUSED; UNAVAILABLE -> READY with the same verb, later; UNSURE -> READY with PROBE, later; NOT_DONE -> READY
// with START, at once; for CANCEL: DONE or NOT_DONE -> UNDONE, REFUSED -> PARKED, UNSURE -> READY with CANCEL, later (taking back what is
// known by one identity may be said twice). Too many attempts -> PARKED.
void task_settle(struct task *t, enum outcome_kind outcome, struct wall now, uint64_t random);

// Its order is given up: what was not done (verb START) is UNDONE, what was done, or may have been (verb PROBE), is READY to CANCEL with
// attempts counted anew; what is REFUSED or UNDONE stays. Not for a task that is CLAIMED.
void task_undo(struct task *t, struct wall now);

bool task_finished(enum task_state s); // DONE, REFUSED or UNDONE

// One call to an outside peer, as a task's history keeps it: a line each, oldest first. Text of ours, but the note came from a peer.
struct task_attempt {
    struct wall at; // when its outcome was there; real time
    enum task_verb verb;
    enum outcome_kind outcome;
    struct wall next; // when the next call is due; WALL_NONE: none is
    struct str peer, note;
};
#define TASK_HISTORY_MAX 16384 // bytes; the oldest go
void task_attempt_put(struct buf *out, const struct task_attempt *a);
// Takes the first line off *history. False at its end; lines that are none (cut at the front) are left out.
bool task_attempt_take(struct str *history, struct task_attempt *out);

// An operator sends a PARKED task round again: the same verb, as if never tried. False when it is not PARKED; then nothing has changed. The
// caller stores the task; NEWS_TASKS wakes the engine.
static inline bool task_retry(struct task *t, struct wall now) {
    if (t->state != TASK_PARKED)
        return false;
    t->state = TASK_READY;
    t->attempts = 0;
    t->due_at = now;
    t->settled = WALL_NONE;
    return true;
}

#endif
