// SPDX-License-Identifier: Apache-2.0
/*
 * id.h - the identities partners see.
 *
 * uuid: UUID version 7 (RFC 9562): 48 bits of milliseconds, so ids made later sort later and the store appends. Ours carry the
 * partner's number in their last 20 bits: an id alone then finds its row in tables clustered by partner (store/store.h). The other
 * bits are random, and grow within one millisecond of one generator, so ids of one generator are strictly increasing.
 *
 * long id: the 44 characters of URL-safe base64 (RFC 4648 section 5, with padding) that the API uses for subscriptions and products. A
 * subscription's is made of its 16-byte key followed by 16 bytes of SHA-256 of that key: a mistyped one is known without a look-up.
 */
#ifndef BASE_ID_H
#define BASE_ID_H

#include "base/base.h"
#include "base/clock.h"
#include "base/rng.h"
#include "base/str.h"

struct uuid {
    uint8_t b[16];
};

#define UUID_TEXT 37    // 36 characters and NUL
#define LONG_ID_TEXT 45 // 44 characters and NUL
#define UUID_PARTNER_BITS 20

struct id_gen { // owned by one thread
    const struct rng *rng;
    int64_t last_ms;
    uint64_t last_random; // the 54 random bits of the last id
};

void id_gen_init(struct id_gen *gen, const struct rng *rng);
struct uuid id_next(struct id_gen *gen, struct wall now, int64_t partner_id);
int64_t uuid_partner(struct uuid id);  // the last 20 bits
struct wall uuid_time(struct uuid id); // the first 48 bits

bool uuid_is_zero(struct uuid id);
bool uuid_eq(struct uuid a, struct uuid b);
int uuid_cmp(struct uuid a, struct uuid b);
void uuid_format(struct uuid id, char out[UUID_TEXT]);
bool uuid_parse(struct str text, struct uuid *out); // 8-4-4-4-12, either case

void long_id_format(struct uuid key, char out[LONG_ID_TEXT]);
bool long_id_parse(struct str text, struct uuid *out); // false unless the checksum holds
// 43 or 44 characters of URL-safe base64, the last one '='. Product ids are the operator's, and one of those that the API's documentation
// prints has 43, which no decoder takes: so the form is all that is asked.
bool long_id_well_formed(struct str text);

// URL-safe base64. encode returns the length written (out has room for 4 * ((n + 2) / 3) + 1, NUL added); decode returns false on a
// stray character or when it does not fit; it takes padded and unpadded text.
size_t base64url_encode(const void *in, size_t n, bool pad, char *out);
bool base64url_decode(struct str in, uint8_t *out, size_t size, size_t *n);
// The same with the standard alphabet (RFC 4648 section 4), always padded when written.
size_t base64_encode(const void *in, size_t n, char *out);
bool base64_decode(struct str in, uint8_t *out, size_t size, size_t *n);

#endif
