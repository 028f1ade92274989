// SPDX-License-Identifier: Apache-2.0
#include "http/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

struct range4 {
    uint32_t net;
    int bits;
};
#define IP4(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

static const struct range4 special4[] = {
    {IP4(0, 0, 0, 0), 8},       // this network
    {IP4(10, 0, 0, 0), 8},      // private
    {IP4(100, 64, 0, 0), 10},   // shared by carriers
    {IP4(127, 0, 0, 0), 8},     // loopback
    {IP4(169, 254, 0, 0), 16},  // link-local; clouds' metadata
    {IP4(172, 16, 0, 0), 12},   // private
    {IP4(192, 0, 0, 0), 24},    // protocol assignments
    {IP4(192, 0, 2, 0), 24},    // documentation
    {IP4(192, 88, 99, 0), 24},  // 6to4 relays
    {IP4(192, 168, 0, 0), 16},  // private
    {IP4(198, 18, 0, 0), 15},   // benchmarks
    {IP4(198, 51, 100, 0), 24}, // documentation
    {IP4(203, 0, 113, 0), 24},  // documentation
    {IP4(224, 0, 0, 0), 4},     // multicast
    {IP4(240, 0, 0, 0), 4},     // reserved; broadcast
};

static bool public4(uint32_t address) {
    for (size_t i = 0; i < ARRAY_LEN(special4); i++)
        if ((address ^ special4[i].net) >> (32 - special4[i].bits) == 0)
            return false;
    return true;
}

struct range6 {
    uint8_t net[16];
    int bits;
};

// Within 2000::/3, all that is given to anybody.
static const struct range6 special6[] = {
    {{0x20, 0x01}, 23},             // protocol assignments: Teredo, ORCHID, benchmarks ...
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, // documentation
    {{0x20, 0x02}, 16},             // 6to4
    {{0x3f, 0xff}, 20},             // documentation
};
static const struct range6 global6 = {{0x20}, 3};
static const struct range6 nat64 = {{0x00, 0x64, 0xff, 0x9b}, 96};

static bool within(const uint8_t address[16], const struct range6 *r) {
    int whole = r->bits / 8, rest = r->bits % 8;
    if (memcmp(address, r->net, (size_t)whole) != 0)
        return false;
    return rest == 0 || (address[whole] ^ r->net[whole]) >> (8 - rest) == 0;
}

static bool public6(const uint8_t address[16]) {
    if (within(address, &nat64))
        return public4(IP4(address[12], address[13], address[14], address[15]));
    if (!within(address, &global6))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(special6); i++)
        if (within(address, &special6[i]))
            return false;
    return true;
}

bool address_public(const struct sockaddr *address, size_t size) {
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    if (size < sizeof address->sa_family)
        return false;
    if (address->sa_family == AF_INET && size >= sizeof in) {
        memcpy(&in, address, sizeof in);
        return public4(ntohl(in.sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6 && size >= sizeof in6) {
        memcpy(&in6, address, sizeof in6);
        return public6(in6.sin6_addr.s6_addr);
    }
    return false;
}

bool address_text_public(struct str text) {
    char copy[INET6_ADDRSTRLEN];
    struct in_addr in;
    struct in6_addr in6;
    struct str address;
    (void)str_cut(text, '%', &address); // a zone is of link-local addresses
    if (!str_to_buf(address, copy, sizeof copy))
        return true;
    if (inet_pton(AF_INET, copy, &in) == 1)
        return public4(ntohl(in.s_addr));
    if (inet_pton(AF_INET6, copy, &in6) == 1)
        return public6(in6.s6_addr);
    return true;
}
