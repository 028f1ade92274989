// SPDX-License-Identifier: Apache-2.0
#include "base/id.h"

#include <stdlib.h>

#include "base/fuzz.h"

static void uuids(struct str text) {
    struct uuid id;
    if (uuid_parse(text, &id)) {
        char out[UUID_TEXT];
        uuid_format(id, out);
        CHECK(str_eq_nocase(text, str_of(out)));
    }
}

static void long_ids(struct str text) {
    struct uuid id;
    if (long_id_parse(text, &id)) {
        char out[LONG_ID_TEXT];
        long_id_format(id, out);
        CHECK(str_is(text, out)); // one spelling only
        CHECK(long_id_well_formed(text));
    }
    if (long_id_well_formed(text)) {
        CHECK(text.n < LONG_ID_TEXT);
    }
}

static void base64url(struct str text) {
    uint8_t *bytes = xmalloc(text.n);
    char *out = xmalloc(4 * ((text.n + 2) / 3) + 1);
    size_t n;
    if (base64url_decode(text, bytes, text.n, &n)) {
        CHECK(n <= text.n);
        size_t padded = base64url_encode(bytes, n, true, out);
        bool same = str_eq(text, (struct str){out, padded});
        size_t bare = base64url_encode(bytes, n, false, out);
        CHECK(same || str_eq(text, (struct str){out, bare})); // one spelling of each kind
    }
    size_t encoded = base64url_encode(text.p, text.n, text.n % 2 == 0, out);
    CHECK(base64url_decode((struct str){out, encoded}, bytes, text.n, &n));
    CHECK(str_eq(text, (struct str){(const char *)bytes, n}));
    free(bytes);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str text = {(const char *)data, size};
    uuids(text);
    long_ids(text);
    base64url(text);
    return 0;
}
