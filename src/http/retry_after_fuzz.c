// SPDX-License-Identifier: Apache-2.0
#include "http/retry_after.h"

#include "base/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str value = {(const char *)data, size};
    static const struct wall now = {INT64_C(1795000000000)};
    int64_t seconds = retry_after_parse(value, now);
    CHECK(seconds >= -1 && seconds <= RETRY_AFTER_MAX);
    // Later, it is not longer.
    int64_t later = retry_after_parse(value, wall_plus_ms(now, 1000));
    CHECK((later < 0) == (seconds < 0) && later <= seconds);
    return 0;
}
