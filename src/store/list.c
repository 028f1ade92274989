// SPDX-License-Identifier: Apache-2.0
#include "store/list.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK 16 // keys fetched at once of one partner's list while merging

// One partner's list on its way through the merge.
struct stream {
    int64_t partner_id;
    struct list_key key[CHUNK];
    size_t n, at;
    int64_t taken; // offset of the next chunk
    bool end;
};

static void read_key(struct row *r, void *out) {
    struct list_key *k = out;
    k->t = row_int(r);
    k->id = row_uuid(r);
    k->iccid = row_int_or(r, ICCID_NONE);
}

static void read_partner_id(struct row *r, void *out) {
    *(int64_t *)out = row_int(r);
}

static enum err_kind fetch(struct tx *tx, struct list *list, int64_t offset, int64_t limit, struct arena *a, struct list_key **out,
                           size_t *n, struct err *err) {
    void *rows = NULL;
    list->params[list->n - 2] = db_int(limit);
    list->params[list->n - 1] = db_int(offset);
    enum err_kind kind = tx_list(tx, list->keys, list->params, list->n, read_key, a, sizeof(struct list_key), (size_t)limit, &rows, n, err);
    if (!kind)
        *out = rows;
    return kind;
}

static enum err_kind count_one(struct tx *tx, struct list *list, int64_t most, int64_t *out, struct err *err) {
    list->params[list->n - 2] = db_int(most);
    list->params[list->n - 1] = db_int(0);
    return tx_int(tx, list->count, list->params, list->n, out, err);
}

static enum err_kind partners(struct tx *tx, struct arena *a, int64_t **ids, size_t *n, struct err *err) {
    void *rows = NULL;
    enum err_kind kind = tx_list(tx, ST_PARTNER_IDS, NULL, 0, read_partner_id, a, sizeof(int64_t), 0, &rows, n, err);
    if (!kind)
        *ids = rows;
    return kind;
}

static enum err_kind count_all(struct tx *tx, struct list *list, const int64_t *ids, size_t n, int64_t most, int64_t *out,
                               struct err *err) {
    int64_t sum = 0;
    for (size_t i = 0; i < n && sum < most; i++) {
        int64_t one = 0;
        list->params[0] = db_int(ids[i]);
        enum err_kind kind = count_one(tx, list, most - sum, &one, err);
        if (kind)
            return kind;
        sum += one;
    }
    *out = sum;
    return ERR_NONE;
}

static enum err_kind refill(struct tx *tx, struct list *list, struct stream *s, struct arena *scratch, struct err *err) {
    struct list_key *keys = NULL;
    size_t n = 0;
    list->params[0] = db_int(s->partner_id);
    arena_reset(scratch);
    enum err_kind kind = fetch(tx, list, s->taken, CHUNK, scratch, &keys, &n, err);
    if (kind)
        return kind;
    memcpy(s->key, keys, n * sizeof *keys);
    s->n = n;
    s->at = 0;
    s->taken += (int64_t)n;
    s->end = n < CHUNK;
    return ERR_NONE;
}

static bool newer(const struct list_key *a, const struct list_key *b) {
    return a->t != b->t ? a->t > b->t : uuid_cmp(a->id, b->id) > 0;
}

// Takes offset + limit keys off the heads of the streams and keeps the last `limit`.
static enum err_kind merge(struct tx *tx, struct list *list, struct stream *streams, size_t n_streams, int64_t offset, int64_t limit,
                           struct arena *scratch, struct list_key *out, size_t *n, struct err *err) {
    for (size_t i = 0; i < n_streams; i++) {
        enum err_kind kind = refill(tx, list, &streams[i], scratch, err);
        if (kind)
            return kind;
    }
    size_t got = 0;
    for (int64_t i = 0; i < offset + limit; i++) {
        struct stream *best = NULL;
        for (size_t k = 0; k < n_streams; k++) {
            struct stream *s = &streams[k];
            if (s->at < s->n && (!best || newer(&s->key[s->at], &best->key[best->at])))
                best = s;
        }
        if (!best)
            break;
        if (i >= offset)
            out[got++] = best->key[best->at];
        best->at++;
        if (best->at == best->n && !best->end) {
            enum err_kind kind = refill(tx, list, best, scratch, err);
            if (kind)
                return kind;
        }
    }
    *n = got;
    return ERR_NONE;
}

static enum err_kind list_all(struct tx *tx, struct list *list, int64_t offset, int64_t limit, struct arena *a, struct list_key **out,
                              size_t *n, int64_t *total, struct err *err) {
    int64_t *ids = NULL, sum = 0;
    size_t n_ids = 0;
    enum err_kind kind = partners(tx, a, &ids, &n_ids, err);
    if (!kind && total)
        kind = count_all(tx, list, ids, n_ids, offset + limit + LIST_AHEAD, &sum, err);
    if (kind)
        return kind;
    struct list_key *keys = arena_array(a, struct list_key, (size_t)limit);
    if (!keys)
        return tx_no_memory(err);
    struct stream *streams = xcalloc(n_ids + 1, sizeof *streams);
    for (size_t i = 0; i < n_ids; i++)
        streams[i].partner_id = ids[i];
    struct arena scratch;
    arena_init(&scratch, 1 << 16);
    kind = merge(tx, list, streams, n_ids, offset, limit, &scratch, keys, n, err);
    arena_release(&scratch);
    free(streams);
    if (kind)
        return kind;
    *out = keys;
    if (total)
        *total = sum;
    return ERR_NONE;
}

enum err_kind list_keys(struct tx *tx, struct list *list, int64_t offset, int64_t limit, struct arena *a, struct list_key **out, size_t *n,
                        int64_t *total, struct err *err) {
    CHECK(list->n >= 3 && list->n <= LIST_PARAMS_MAX);
    offset = offset < 0 ? 0 : offset > INT64_MAX / 4 ? INT64_MAX / 4 : offset;
    limit = limit < 1 ? 1 : limit > LIST_MAX ? LIST_MAX : limit;
    if (list->each_partner)
        return list_all(tx, list, offset, limit, a, out, n, total, err);
    struct list_key *keys = NULL;
    size_t got = 0;
    int64_t sum = 0;
    enum err_kind kind = fetch(tx, list, offset, limit, a, &keys, &got, err);
    if (!kind && total) {
        if (got > 0 && got < (size_t)limit) // the last page says it all
            sum = offset + (int64_t)got;
        else
            kind = count_one(tx, list, offset + limit + LIST_AHEAD, &sum, err);
    }
    if (kind)
        return kind;
    *out = keys;
    *n = got;
    if (total)
        *total = sum;
    return ERR_NONE;
}
