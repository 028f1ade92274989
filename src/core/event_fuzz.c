// SPDX-License-Identifier: Apache-2.0
// Any bytes as each kind of payload: what is taken packs to those very bytes, everything else is ERR_CORRUPT. The second byte of a payload
// says its kind, so each input is tried as all three.
#include "core/event.h"

#include "base/fuzz.h"

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
    enum esim_status before;
    int taken = 0;
    enum err_kind k = event_unpack_order(payload, &arena, &o, &err);
    CHECK(k == ERR_NONE || k == ERR_CORRUPT);
    if (k == ERR_NONE) {
        taken++;
        event_pack_order(&again, &o);
    }
    k = event_unpack_subscription(payload, &arena, &s, &threshold, &err);
    CHECK(k == ERR_NONE || k == ERR_CORRUPT);
    if (k == ERR_NONE) {
        taken++;
        CHECK(s.spent_bytes >= 0 && s.spent_bytes <= s.initial_bytes);
        event_pack_subscription(&again, &s, threshold);
    }
    k = event_unpack_sim(payload, &arena, &m, &before, &err);
    CHECK(k == ERR_NONE || k == ERR_CORRUPT);
    if (k == ERR_NONE) {
        taken++;
        event_pack_sim(&again, &m, before);
    }
    CHECK(taken <= 1);
    if (taken)
        CHECK(!again.failed && str_eq(buf_str(&again), payload));

    buf_release(&again);
    arena_release(&arena);
    return 0;
}
