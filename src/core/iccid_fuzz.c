// SPDX-License-Identifier: Apache-2.0
// Any bytes as an ICCID and as the other numbers of the field: what is taken comes back as it was.
#include "core/iccid.h"

#include "base/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str text = {(const char *)data, size};
    iccid_t v = ICCID_NONE;
    enum iccid_fault fault = iccid_parse(text, &v);
    CHECK(iccid_fault_text(fault)[0] != '\0');
    if (fault == ICCID_OK) {
        char back[ICCID_TEXT];
        CHECK(iccid_packed(v));
        iccid_format(v, back);
        CHECK(str_eq(str_of(back), text));
    } else {
        CHECK(v == ICCID_NONE);
    }
    if (luhn_holds(text))
        CHECK(luhn_digit((struct str){text.p, text.n - 1}) == text.p[text.n - 1]);
    CHECK(!eid_valid(text) || size == 32);
    CHECK(!imsi_valid(text) || size <= 15);
    CHECK(!msisdn_valid(text) || size <= 15);
    return 0;
}
