// SPDX-License-Identifier: Apache-2.0
/*
 * fake.h - a scripted network element for tests, the sandbox and the simulation: it keeps what was really done, per identity, and can
 * refuse, hang, be late, answer twice, lose answers or be away.
 *
 * A script is text: one rule a line, `<kind|*> <verb|*> <iccid suffix|*> <times|*>: <action> [delay]`. A rule serves `times` calls, then
 * the next one that matches; no match: done at once. Kinds and verbs as in core/task.h, in either case; empty lines and lines beginning
 * with
 * `#` are skipped. Delays as 500ms, 3s. Actions:
 *   done          carried out; with a delay the answer comes after it
 *   late          the same, always with a delay (1s when none is given)
 *   refuse        no, for good; to PROBE only if it was not done: the element never lies
 *   unavailable   nothing reached it
 *   hang          never answers, nothing done
 *   lost-undone   the same, under the name of its cause: the request got lost
 *   lose          carried out, the answer lost
 *   twice         carried out, answered twice (the second time after the delay)
 * To carry out START is to do it (again, too: it trusts the caller to say a thing once), PROBE to tell the truth, CANCEL to take back what
 * was done. `done` of the peer is called from inside `call` and `tick`.
 */
#ifndef PEER_FAKE_H
#define PEER_FAKE_H

#include "base/str.h"
#include "peer/peer.h"

#define FAKE_RULES_MAX 256
#define FAKE_IDENTITIES_MAX 1000000 // beyond it: unavailable

// ERR_INVALID, with the line's number, when the script does not parse.
NODISCARD enum err_kind peer_fake_open(const char *name, struct str script, const struct clock *clock, struct peer **out, struct err *err);
// Another connection to the same element: what was done, and the script with its counts, is one; it lives until the last is closed.
struct peer *peer_fake_twin(struct peer *p);
// What it really did, for assertions: how often an identity was done and undone, and how many calls came for it.
void peer_fake_count(struct peer *p, const char *identity, int *done, int *undone, int *calls);
// The order of things: the identity of the n-th deed (from 0), and whether it was done (START) or undone (CANCEL); NULL beyond the last.
// Valid until the next call.
const char *peer_fake_deed(struct peer *p, size_t n, enum task_verb *verb);

#endif
