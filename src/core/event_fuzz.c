// SPDX-License-Identifier: Apache-2.0
// Any bytes as each kind of payload: what is taken packs to those very bytes, everything else is ERR_CORRUPT. The second byte of a payload
// says its kind, so each input is tried as each.
#include "core/event.h"

#include "base/fuzz.h"
#include "core/webhook.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str payload = {(const char *)data, size};
    struct err err = {0};
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct buf again;
    buf_init(&again, 1 << 20);

    struct order o;
    struct subscription s;
    struct sim m;
    int threshold;
    struct order_was order_was;
    struct subscription_was subscription_was;
    struct sim_was sim_was;
    // Those of an older version are packed in today's: only what they say is the same.
    bool today = size > 0 && data[0] == 2;
    int taken = 0;
    enum err_kind k = event_unpack_order(payload, &arena, &o, &order_was, &err);
    CHECK(k == ERR_NONE || k == ERR_CORRUPT);
    if (k == ERR_NONE) {
        taken++;
        event_pack_order(&again, &o, order_was.past == PAST_KNOWN ? &order_was : NULL);
    }
    k = event_unpack_subscription(payload, &arena, &s, &subscription_was, &threshold, &err);
    CHECK(k == ERR_NONE || k == ERR_CORRUPT);
    if (k == ERR_NONE) {
        taken++;
        CHECK(s.spent_bytes >= 0 && s.spent_bytes <= s.initial_bytes);
        event_pack_subscription(&again, &s, subscription_was.past == PAST_KNOWN ? &subscription_was : NULL, threshold);
    }
    k = event_unpack_sim(payload, &arena, &m, &sim_was, &err);
    CHECK(k == ERR_NONE || k == ERR_CORRUPT);
    if (k == ERR_NONE) {
        taken++;
        event_pack_sim(&again, &m, sim_was.past == PAST_KNOWN ? &sim_was : NULL);
    }
    struct profile_progress progress;
    k = event_unpack_progress(payload, &arena, &m, &progress, &err);
    CHECK(k == ERR_NONE || k == ERR_CORRUPT);
    if (k == ERR_NONE) {
        taken++;
        CHECK(progress.point >= 1 && progress.point <= POINT_MAX);
        event_pack_progress(&again, &m, &progress);
    }
    struct webhook w;
    k = event_unpack_webhook(payload, &arena, &w, &err);
    CHECK(k == ERR_NONE || k == ERR_CORRUPT);
    if (k == ERR_NONE) {
        taken++;
        event_pack_webhook(&again, &w);
    }
    CHECK(taken <= 1);
    if (taken && today)
        CHECK(!again.failed && str_eq(buf_str(&again), payload));

    buf_release(&again);
    arena_release(&arena);
    return 0;
}
