// SPDX-License-Identifier: Apache-2.0
#include "base/money.h"

#include "base/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    for (int decimals = 0; decimals <= 4; decimals++) {
        int64_t minor = -1;
        if (money_parse((struct str){(const char *)data, size}, decimals, &minor) == MONEY_OK) {
            CHECK(minor >= 0 && minor <= MONEY_MINOR_MAX);
            char out[MONEY_TEXT];
            int64_t back;
            money_format(minor, decimals, out);
            CHECK(money_parse(str_of(out), decimals, &back) == MONEY_OK && back == minor);
        } else {
            CHECK(minor == -1);
        }
    }
    int64_t any;
    if (size >= sizeof(any)) {
        char out[MONEY_TEXT];
        memcpy(&any, data, sizeof(any));
        money_format(any, data[0] % 10, out);
        CHECK(strlen(out) < MONEY_TEXT && strlen(out) > 0);
    }
    return 0;
}
