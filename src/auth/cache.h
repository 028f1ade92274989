// SPDX-License-Identifier: Apache-2.0
/*
 * cache.h - what is known already: tokens that were verified (or issued) and partners' rows, so that the usual call costs neither a
 * signature check nor SQL.
 *
 * Both are tables of fixed size, cut into shards with a lock each; an entry's place follows from its key, and where a place is full the
 * entry that ends first gives way. Any thread may call.
 */
#ifndef AUTH_CACHE_H
#define AUTH_CACHE_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/str.h"
#include "core/partner.h"

// Tokens by the SHA-256 of all their bytes: two tokens never share an entry.
struct token_known {
    int64_t partner_id;
    struct wall until;
    bool before; // it was found before, too
};
struct token_cache;
struct token_cache *token_cache_open(void);
void token_cache_close(struct token_cache *c);
bool token_cache_get(struct token_cache *c, const uint8_t sha256[32], struct wall now, struct token_known *out);
void token_cache_put(struct token_cache *c, const uint8_t sha256[32], struct wall now, struct wall until, int64_t partner_id);

// Those of them that come again and again, by their text: to compare it costs a tenth of hashing it. `now` decides here as there.
#define TOKEN_TEXT_MAX 2048 // longer ones are not kept
struct token_texts;
struct token_texts *token_texts_open(void);
void token_texts_close(struct token_texts *t);
bool token_texts_get(struct token_texts *t, struct str token, struct wall now, int64_t *partner_id);
void token_texts_put(struct token_texts *t, struct str token, const struct token_known *known);

// Partners' rows by number, each for at most PARTNER_FRESH_MS, less when somebody says that partners have changed.
#define PARTNER_FRESH_MS 1000
struct partner_cache;
struct partner_cache *partner_cache_open(void);
void partner_cache_close(struct partner_cache *c);
// Texts are copied into the arena.
bool partner_cache_get(struct partner_cache *c, int64_t id, struct mono now, struct arena *arena, struct partner *out);
// `generation` and `read_at` are those of before the row was read.
void partner_cache_put(struct partner_cache *c, const struct partner *p, struct mono read_at, unsigned generation);
unsigned partner_cache_generation(const struct partner_cache *c);
void partner_cache_drop(struct partner_cache *c); // all of them

#endif
