// SPDX-License-Identifier: Apache-2.0
/*
 * recent.h - rows that the writer has just written or read. Private to store/.
 *
 * The engine's turn follows an order's acceptance within milliseconds and asks for the same order, tasks, SIM and product: a look here
 * costs a tenth of the statement. A row is what it last wrote or read, as long as nobody else writes; when another node has, all is dropped
 * (db.others).
 *
 * A statement that writes drops all that is here, unless the table of statements says DB_KEEPS: then it touches none of these rows, or its
 * verb puts or drops the one it changes. When a transaction is undone all is dropped, too (tx_forget).
 *
 * A table of fixed size; an entry's place follows from its key, and the newer takes it. Not for readers, who see their own snapshot.
 */
#ifndef STORE_RECENT_H
#define STORE_RECENT_H

#include "base/arena.h"
#include "base/base.h"

enum recent_kind { RECENT_ORDER, RECENT_TASKS, RECENT_SIM, RECENT_PRODUCT, RECENT_KINDS };

// How a row is copied: a struct with texts (struct str) at these offsets.
struct recent_layout {
    size_t size;
    const size_t *texts;
    size_t n_texts;
};

#define RECENT_KEY_MAX 64
struct recent;
struct recent *recent_open(size_t places); // of each kind; a power of two
void recent_close(struct recent *r);       // NULL is fine
void recent_clear(struct recent *r);       // like all below, NULL is fine and does nothing

// False: not here. Texts are copied into the arena; when that is full, the caller finds out by arena_failed.
bool recent_get(struct recent *r, enum recent_kind kind, const void *key, size_t n, const struct recent_layout *layout, struct arena *a,
                void *out);
bool recent_has(struct recent *r, enum recent_kind kind, const void *key, size_t n);
void recent_put(struct recent *r, enum recent_kind kind, const void *key, size_t n, const struct recent_layout *layout, const void *row);
void recent_drop(struct recent *r, enum recent_kind kind, const void *key, size_t n);

#endif
