// SPDX-License-Identifier: Apache-2.0
/*
 * fake.h - a scripted network element for tests, the sandbox and the simulation: it keeps what was really done, per identity, and can
 * refuse, hang, be late, answer twice, lose answers or be away.
 *
 * A script is text: one rule a line, `<kind|*> <verb|*> <iccid suffix|*> <times|*>: <action> [delay]`, first match wins, no match: done at
 * once. Actions: done, refuse, unavailable, hang (never answers, nothing done), lose (done, answer lost), twice (done, answered twice),
 * late (done, answered after delay), lost-undone (nothing done, no answer). Delays as 500ms, 3s.
 */
#ifndef PEER_FAKE_H
#define PEER_FAKE_H

#include "base/rng.h"
#include "base/str.h"
#include "peer/peer.h"

NODISCARD enum err_kind peer_fake_open(const char *name, struct str script, const struct clock *clock, struct peer **out, struct err *err);
// What it really did, for assertions: how often an identity was done and undone.
void peer_fake_count(struct peer *p, const char *identity, int *done, int *undone, int *calls);

#endif
