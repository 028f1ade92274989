// SPDX-License-Identifier: Apache-2.0
/*
 * idem.h - idempotency: a writing call of a partner that comes again with the same Idempotency-Key gets the first answer and does nothing.
 *
 * What a key stands for: one request of one partner, told apart by the SHA-256 of method, canonical path, query and body, byte for byte.
 *
 *   the key is               | the request is the same                       | another
 *   free                     | done; the answer is stored with what it did   |
 *   answered                 | the stored answer                             | 422
 *   in work                  | waits; after IDEM_WAIT_MS 409                 | 422
 *
 * Stored is what was decided by a job, that is by looking at the world: successes, and refusals such as 403, 404, 406, 409 and 400. Not
 * stored, so that the key stays free: faults of the request itself that were found before (400, 415), and whatever says nothing about the
 * request (401, 429, 5xx). A key that has been answered is honoured before the request is judged again: an order that was accepted is not
 * denied because the rules have changed since.
 *
 * The answer is rendered in the job, on the writer's thread, and stored in the same transaction. A refusal leaves nothing of a job behind,
 * so it is stored by a second one; should another call with the key have got in between, that one was the first, and its answer counts.
 *
 * A call that takes several jobs (call->again) claims its key with the first of them and keeps a note of how far it has come beside the
 * claim. A claim is dead, and the next call with the key goes on from its note, when its holder gave it up, when it was made by an earlier
 * process of this node or by one of another node whose lease has ended, or when it has not been heard of for IDEM_CLAIM_MS.
 */
#ifndef API_IDEM_H
#define API_IDEM_H

#include "api/call.h"

#define IDEM_WAIT_MS 5000
#define IDEM_CLAIM_MS (5 * 60 * 1000)

// One call's key; c->idem is NULL for calls without one.
struct idem_call {
    struct str key;
    uint8_t digest[32];
    bool document; // how the client wants errors: asked before the job, which may outlive the connection
    enum idem_step { IDEM_WORK, IDEM_LOOK, IDEM_REFUSE, IDEM_GIVE_UP } step; // what the next job is for
    bool has_waited;
    struct mono waits_since;
    // the claim that is in the store
    bool holds;
    struct wall since;
    // of the job's last run
    struct wall claimed; // or answered
    bool waits;          // somebody else is at work on the key
    bool answered;       // the exchange holds the answer
    bool replayed;       // it is an earlier call's
};

// On the server's thread, once the partner is known: looks for the header. ERR_INVALID: it is no key.
NODISCARD enum err_kind idem_begin(struct call *c, struct err *err);
// The call has failed before it came to a job: when its key is known, that answer counts and c->failed is changed. True: it is still in
// work, and the call is to be submitted, to wait for it.
NODISCARD bool idem_before_refusal(struct call *c);
// The job's run and end, for a call with a key. idem_done: whether the call is over; otherwise it belongs to the writer or waits, and is
// not to be looked at.
NODISCARD enum err_kind idem_run(struct call *c, struct tx *tx, struct err *err);
bool idem_done(struct call *c, enum err_kind kind, const struct err *err);

// Removes a slice of the keys that are too old, now and then.
void idem_upkeep(struct api *api, struct mono now);

#endif
