// SPDX-License-Identifier: Apache-2.0
/*
 * canary_fuzz.c - a fuzzer that must fail: it shows that the machinery finds a wrong input and rings.
 */
#include "base/base.h"
#include "base/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    CHECK(!(size >= 4 && data[0] == 'b' && data[1] == 'o' && data[2] == 'o' && data[3] == 'm'));
    return 0;
}
