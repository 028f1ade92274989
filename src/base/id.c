// SPDX-License-Identifier: Apache-2.0
#include "base/id.h"

#include <string.h>

#include "base/secret.h"

// 128 bits, high to low: 48 milliseconds, 4 version (7), 12 random, 2 variant (binary 10), 42 random, 20 partner.
#define RANDOM_BITS 54
#define RANDOM_MASK ((UINT64_C(1) << RANDOM_BITS) - 1)
#define LOW_RANDOM_BITS 42
#define LOW_RANDOM_MASK ((UINT64_C(1) << LOW_RANDOM_BITS) - 1)
#define PARTNER_MASK ((UINT64_C(1) << UUID_PARTNER_BITS) - 1)
#define MS_MAX ((INT64_C(1) << 48) - 1)
#define STEP_BITS 20 // the greatest step within one millisecond: leaves room for millions of ids before the next one is borrowed

static void store_be64(uint8_t *p, uint64_t v) {
    for (int i = 7; i >= 0; i--) {
        p[i] = (uint8_t)v;
        v >>= 8;
    }
}

static uint64_t load_be64(const uint8_t *p) {
    uint64_t v = 0;
    for (int i = 0; i < 8; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

void id_gen_init(struct id_gen *gen, const struct rng *rng) {
    *gen = (struct id_gen){.rng = rng, .last_ms = -1};
}

struct uuid id_next(struct id_gen *gen, struct wall now, int64_t partner_id) {
    CHECK(partner_id >= 0 && (uint64_t)partner_id <= PARTNER_MASK);
    uint64_t fresh = rng_u64(gen->rng);
    if (now.ms > gen->last_ms && now.ms <= MS_MAX) {
        gen->last_ms = now.ms;
        gen->last_random = fresh & RANDOM_MASK;
    } else { // the same millisecond, or somebody set the clock back: go on from the last id
        gen->last_ms = gen->last_ms < 0 ? 0 : gen->last_ms;
        gen->last_random += 1 + (fresh & ((UINT64_C(1) << STEP_BITS) - 1));
        if (gen->last_random > RANDOM_MASK) {
            gen->last_ms++;
            gen->last_random &= RANDOM_MASK;
        }
    }
    struct uuid id;
    uint64_t high_random = gen->last_random >> LOW_RANDOM_BITS;
    uint64_t low_random = gen->last_random & LOW_RANDOM_MASK;
    store_be64(id.b, (uint64_t)gen->last_ms << 16 | UINT64_C(7) << 12 | high_random);
    store_be64(id.b + 8, UINT64_C(2) << 62 | low_random << UUID_PARTNER_BITS | (uint64_t)partner_id);
    return id;
}

int64_t uuid_partner(struct uuid id) {
    return (int64_t)(load_be64(id.b + 8) & PARTNER_MASK);
}

struct wall uuid_time(struct uuid id) {
    return (struct wall){(int64_t)(load_be64(id.b) >> 16)};
}

bool uuid_is_zero(struct uuid id) {
    return (load_be64(id.b) | load_be64(id.b + 8)) == 0;
}

bool uuid_eq(struct uuid a, struct uuid b) {
    return memcmp(a.b, b.b, sizeof(a.b)) == 0;
}

int uuid_cmp(struct uuid a, struct uuid b) {
    return memcmp(a.b, b.b, sizeof(a.b));
}

static bool is_dash_place(size_t i) {
    return i == 8 || i == 13 || i == 18 || i == 23;
}

void uuid_format(struct uuid id, char out[UUID_TEXT]) {
    static const char hex[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t i = 0; i < sizeof(id.b); i++) {
        if (is_dash_place(at)) {
            out[at++] = '-';
        }
        out[at++] = hex[id.b[i] >> 4];
        out[at++] = hex[id.b[i] & 15];
    }
    out[at] = '\0';
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

bool uuid_parse(struct str text, struct uuid *out) {
    if (text.n != UUID_TEXT - 1) {
        return false;
    }
    struct uuid id;
    size_t at = 0;
    for (size_t i = 0; i < sizeof(id.b); i++) {
        if (is_dash_place(at) && text.p[at++] != '-') {
            return false;
        }
        int high = hex_value(text.p[at++]);
        int low = hex_value(text.p[at++]);
        if (high < 0 || low < 0) {
            return false;
        }
        id.b[i] = (uint8_t)(high << 4 | low);
    }
    *out = id;
    return true;
}

// ---- long ids ----

void long_id_format(struct uuid key, char out[LONG_ID_TEXT]) {
    uint8_t sum[32];
    sha256_of((struct str){(const char *)key.b, sizeof(key.b)}, sum);
    uint8_t both[32];
    memcpy(both, key.b, 16);
    memcpy(both + 16, sum, 16);
    base64url_encode(both, sizeof(both), true, out);
}

bool long_id_parse(struct str text, struct uuid *out) {
    uint8_t both[32];
    size_t n;
    if (text.n != LONG_ID_TEXT - 1 || !base64url_decode(text, both, sizeof(both), &n) || n != sizeof(both)) {
        return false;
    }
    uint8_t sum[32];
    sha256_of((struct str){(const char *)both, 16}, sum);
    if (memcmp(both + 16, sum, 16) != 0) {
        return false;
    }
    memcpy(out->b, both, 16);
    return true;
}

// ---- base64 ----

#define LETTERS_AND_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
static const char alphabet_url[] = LETTERS_AND_DIGITS "-_";
static const char alphabet_standard[] = LETTERS_AND_DIGITS "+/";

static size_t encode(const char *alphabet, const void *in, size_t n, bool pad, char *out) {
    const uint8_t *p = in;
    char *to = out;
    for (; n >= 3; n -= 3, p += 3) {
        uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        *to++ = alphabet[v >> 18];
        *to++ = alphabet[v >> 12 & 63];
        *to++ = alphabet[v >> 6 & 63];
        *to++ = alphabet[v & 63];
    }
    if (n > 0) {
        uint32_t v = (uint32_t)p[0] << 16 | (n == 2 ? (uint32_t)p[1] << 8 : 0);
        *to++ = alphabet[v >> 18];
        *to++ = alphabet[v >> 12 & 63];
        if (n == 2) {
            *to++ = alphabet[v >> 6 & 63];
        } else if (pad) {
            *to++ = '=';
        }
        if (pad) {
            *to++ = '=';
        }
    }
    *to = '\0';
    return (size_t)(to - out);
}

size_t base64url_encode(const void *in, size_t n, bool pad, char *out) {
    return encode(alphabet_url, in, n, pad, out);
}

size_t base64_encode(const void *in, size_t n, char *out) {
    return encode(alphabet_standard, in, n, true, out);
}

static int digit_value(const char *alphabet, char c) {
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == alphabet[62] ? 62 : c == alphabet[63] ? 63 : -1;
}

bool long_id_well_formed(struct str text) {
    if ((text.n != LONG_ID_TEXT - 1 && text.n != LONG_ID_TEXT - 2) || text.p[text.n - 1] != '=') {
        return false;
    }
    for (size_t i = 0; i < text.n - 1; i++) {
        if (digit_value(alphabet_url, text.p[i]) < 0) {
            return false;
        }
    }
    return true;
}

static bool decode(const char *alphabet, struct str in, uint8_t *out, size_t size, size_t *n) {
    size_t digits = in.n;
    if (in.n > 0 && in.n % 4 == 0) { // only a whole last group can be padded
        digits -= in.p[digits - 1] == '=';
        digits -= digits < in.n && in.p[digits - 1] == '=';
    }
    size_t bytes = digits / 4 * 3 + (digits % 4 > 1 ? digits % 4 - 1 : 0);
    if (digits % 4 == 1 || bytes > size) {
        return false;
    }
    uint32_t bits = 0;
    size_t have = 0;
    size_t done = 0;
    for (size_t i = 0; i < digits; i++) {
        int v = digit_value(alphabet, in.p[i]);
        if (v < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[done++] = (uint8_t)(bits >> have);
        }
    }
    if ((bits & ((UINT32_C(1) << have) - 1)) != 0) { // leftover bits set: a second spelling of the same bytes
        return false;
    }
    *n = done;
    return true;
}

bool base64url_decode(struct str in, uint8_t *out, size_t size, size_t *n) {
    return decode(alphabet_url, in, out, size, n);
}

bool base64_decode(struct str in, uint8_t *out, size_t size, size_t *n) {
    return decode(alphabet_standard, in, out, size, n);
}
