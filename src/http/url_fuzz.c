// SPDX-License-Identifier: Apache-2.0
#include "base/fuzz.h"
#include "http/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str url = {(const char *)data, size};
    struct str host = http_url_host(url);
    CHECK(host.n == 0 || (host.p >= url.p && host.p + host.n <= url.p + url.n));
    (void)http_url_has_credentials(url);
    bool is_public = http_url_public(url);
    if (http_url_fault(url) == NULL) {
        CHECK(host.n > 0 && memchr(host.p, '@', host.n) == NULL && memchr(host.p, '/', host.n) == NULL);
        CHECK(!is_public || !str_is(host, "127.0.0.1"));
    }
    return 0;
}
