// SPDX-License-Identifier: Apache-2.0
/*
 * sandbox.h - the network element that sandbox partners' orders meet when they are to fail or dawdle (core/sandbox.h).
 *
 * It answers late, in real seconds, or refuses, and says "unsure" of its own accord, so that a rehearsal does not take as long as a call's
 * time-out. It keeps nothing: what it says follows from the call alone, so a restart changes nothing for an order. One call in each order's
 * plan misbehaves, the one that reaches the network; the others are done at once.
 */
#ifndef PEER_SANDBOX_H
#define PEER_SANDBOX_H

#include "peer/peer.h"

struct peer *peer_sandbox_open(const char *name, const struct clock *clock);

#endif
