// SPDX-License-Identifier: Apache-2.0
#include "base/testing.h"
#include "http/client.h"

static void url_form(void **state UNUSED) {
    static const char *const good[] = {
        "https://example.com", "http://example.com:8080/a/b?c=d#e", "HTTPS://EXAMPLE.COM/",       "http://127.0.0.1/",
        "http://[::1]:9000/x", "https://user@example.com/",         "https://user:p%40@ss@h.io/", "https://example.com:/"};
    static const char *const bad[] = {"",
                                      "https://",
                                      "https:///path",
                                      "//example.com",
                                      "example.com",
                                      "/hook",
                                      "javascript:alert(1)",
                                      "file:///etc/passwd",
                                      "ftp://example.com",
                                      "https://exa mple.com",
                                      "https://example.com/\n",
                                      "https://ex\xc3\xa4mple.com",
                                      "https://example.com:0/",
                                      "https://example.com:65536/",
                                      "https://example.com:http/",
                                      "https://user@/",
                                      "https://[::1/",
                                      "https://a/b@c d",
                                      "https://exa%6dple.com\\@evil/"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (http_url_fault(str_of(good[i])))
            fail_msg("%s: %s", good[i], http_url_fault(str_of(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (!http_url_fault(str_of(bad[i])))
            fail_msg("%s was taken", bad[i]);

    char url[HTTP_URL_MAX + 2];
    memset(url, 'a', sizeof url);
    memcpy(url, "https://e.io/", 13);
    assert_null(http_url_fault((struct str){url, HTTP_URL_MAX}));
    assert_non_null(http_url_fault((struct str){url, HTTP_URL_MAX + 1}));
}

static void url_host_shows_neither_credentials_nor_path(void **state UNUSED) {
    static const char *const rows[][2] = {
        {"https://user:secret@example.com:8443/path?token=x", "example.com"},
        {"http://u@e@host.io", "host.io"},
        {"http://[2001:db8::1]:80/", "[2001:db8::1]"},
        {"https://example.com?q=1", "example.com"},
        {"nonsense", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str host = http_url_host(str_of(rows[i][0]));
        assert_true(str_is(host, rows[i][1]));
    }
    assert_true(http_url_has_credentials(STR("https://user@example.com/")));
    assert_false(http_url_has_credentials(STR("https://example.com/@user")));
    assert_false(http_url_has_credentials(STR("https://example.com")));
}

static void url_public_by_its_text(void **state UNUSED) {
    static const char *const yes[] = {"https://example.com", "http://8.8.8.8/", "http://[2606:4700::1111]:80/", "https://notlocalhost/",
                                      "https://localhost.example.com"};
    static const char *const no[] = {
        "http://127.0.0.1:80/", "http://u:p@10.1.2.3/", "http://[::1]/",           "http://localhost:9000/x",
        "http://LOCALHOST",     "http://localhost./",   "http://hooks.localhost/", "http://169.254.169.254/latest"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        if (!http_url_public(str_of(yes[i])))
            fail_msg("%s", yes[i]);
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        if (http_url_public(str_of(no[i])))
            fail_msg("%s", no[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(url_form),
        cmocka_unit_test(url_host_shows_neither_credentials_nor_path),
        cmocka_unit_test(url_public_by_its_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
