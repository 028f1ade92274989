// SPDX-License-Identifier: Apache-2.0
#include "http/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/testing.h"

// The borders of each special range, from both sides.
static const char *const public_ones[] = {"1.0.0.0",         "8.8.8.8",         "9.255.255.255",    "11.0.0.0",
                                          "100.63.255.255",  "100.128.0.0",     "126.255.255.255",  "128.0.0.0",
                                          "169.253.255.255", "169.255.0.0",     "172.15.255.255",   "172.32.0.0",
                                          "191.255.255.255", "192.0.1.0",       "192.0.3.0",        "192.88.98.255",
                                          "192.88.100.0",    "192.167.255.255", "192.169.0.0",      "198.17.255.255",
                                          "198.20.0.0",      "198.51.99.255",   "198.51.101.0",     "203.0.112.255",
                                          "203.0.114.0",     "223.255.255.255", "2001:200::",       "2001:4860:4860::8888",
                                          "2003::1",         "2606:4700::1111", "2620:4f:8000::1",  "2a00:1450::1",
                                          "3ffe:ffff::",     "3fff:1000::",     "64:ff9b::8.8.8.8", "2001:db7:ffff::",
                                          "2001:db9::"};
static const char *const private_ones[] = {"0.0.0.0",
                                           "0.255.255.255",
                                           "10.0.0.0",
                                           "10.255.255.255",
                                           "100.64.0.0",
                                           "100.127.255.255",
                                           "127.0.0.1",
                                           "127.255.255.255",
                                           "169.254.0.0",
                                           "169.254.169.254",
                                           "172.16.0.0",
                                           "172.31.255.255",
                                           "192.0.0.0",
                                           "192.0.0.255",
                                           "192.0.2.1",
                                           "192.88.99.1",
                                           "192.168.0.0",
                                           "192.168.255.255",
                                           "198.18.0.0",
                                           "198.19.255.255",
                                           "198.51.100.7",
                                           "203.0.113.255",
                                           "224.0.0.1",
                                           "239.255.255.255",
                                           "240.0.0.0",
                                           "255.255.255.255",
                                           "::",
                                           "::1",
                                           "::7f00:1",
                                           "::ffff:127.0.0.1",
                                           "::ffff:8.8.8.8",
                                           "::ffff:0:8.8.8.8",
                                           "64:ff9b::10.0.0.1",
                                           "64:ff9b::127.0.0.1",
                                           "64:ff9b:1::8.8.8.8",
                                           "100::1",
                                           "1fff::",
                                           "2001::1",
                                           "2001:0:808:808::",
                                           "2001:1ff:ffff::",
                                           "2001:db8::1",
                                           "2001:db8:ffff::",
                                           "2002:7f00:1::",
                                           "2002:808:808::1",
                                           "3fff::",
                                           "3fff:fff::",
                                           "4000::",
                                           "5f00::1",
                                           "fc00::1",
                                           "fdff::1",
                                           "fe80::1",
                                           "fec0::1",
                                           "ff02::1"};

static bool as_socket_address(const char *text) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(80)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        return address_public((struct sockaddr *)&in, sizeof in);
    assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    return address_public((struct sockaddr *)&in6, sizeof in6);
}

static void address_table(void **state UNUSED) {
    for (size_t i = 0; i < ARRAY_LEN(public_ones); i++)
        if (!as_socket_address(public_ones[i]) || !address_text_public(str_of(public_ones[i])))
            fail_msg("%s is public", public_ones[i]);
    for (size_t i = 0; i < ARRAY_LEN(private_ones); i++)
        if (as_socket_address(private_ones[i]) || address_text_public(str_of(private_ones[i])))
            fail_msg("%s is not public", private_ones[i]);
}

static void address_other_families_are_refused(void **state UNUSED) {
    struct sockaddr_storage other = {.ss_family = AF_UNIX};
    assert_false(address_public((struct sockaddr *)&other, sizeof other));
    other.ss_family = AF_UNSPEC;
    assert_false(address_public((struct sockaddr *)&other, sizeof other));
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x08080808)};
    assert_true(address_public((struct sockaddr *)&in, sizeof in));
    assert_false(address_public((struct sockaddr *)&in, sizeof in - 1));
    assert_false(address_public((struct sockaddr *)&in, 0));
}

static void address_text_that_is_a_name_passes(void **state UNUSED) {
    static const char *const names[] = {"example.com", "", "127.0.0.1.example.com",
                                        "a-very-long-name-that-is-longer-than-any-address-can-be.example"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_true(address_text_public(str_of(names[i])));
    assert_false(address_text_public(STR("fe80::1%eth0")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(address_table),
        cmocka_unit_test(address_other_families_are_refused),
        cmocka_unit_test(address_text_that_is_a_name_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
