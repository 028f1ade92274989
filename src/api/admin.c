// SPDX-License-Identifier: Apache-2.0
#include "api/admin.h"

#include "api/resource.h"
#include "core/codes.h"

enum err_kind admin_partner_of_path(struct call *c, struct tx *tx, struct partner *out, struct err *err) {
    enum err_kind kind = ERR_NOT_FOUND;
    if (client_id_valid(c->params[0]))
        kind = store_partner_by_client(tx, c->params[0], c->arena, out, err);
    return kind == ERR_NOT_FOUND ? err_set(err, ERR_NOT_FOUND, "client_id: there is no such partner") : kind;
}

enum err_kind admin_partner_named(struct call *c, struct tx *tx, const char *field, struct str client_id, int64_t *id, struct err *err) {
    struct partner p;
    enum err_kind kind = ERR_NOT_FOUND;
    if (client_id_valid(client_id))
        kind = store_partner_by_client(tx, client_id, c->arena, &p, err);
    if (kind == ERR_NOT_FOUND)
        return err_set(err, ERR_INVALID, "%s: there is no such partner", field);
    if (kind == ERR_NONE)
        *id = p.id;
    return kind;
}

struct admin_name {
    int64_t id;
    struct str client_id;
    struct admin_name *next;
};

enum err_kind admin_name_of(struct call *c, struct tx *tx, struct admin_names *names, int64_t partner_id, struct str *client_id,
                            struct err *err) {
    if (partner_id == 0) {
        *client_id = STR_NONE;
        return ERR_NONE;
    }
    for (const struct admin_name *n = names->first; n; n = n->next) {
        if (n->id == partner_id) {
            *client_id = n->client_id;
            return ERR_NONE;
        }
    }
    struct partner p;
    enum err_kind kind = store_partner_get(tx, partner_id, c->arena, &p, err);
    if (kind == ERR_NOT_FOUND)
        return err_set(err, ERR_CORRUPT, "partner %lld is named by a row, but is not there", (long long)partner_id);
    if (kind != ERR_NONE)
        return kind;
    struct admin_name *fresh = arena_new(c->arena, struct admin_name);
    if (!fresh)
        return call_no_memory(err);
    *fresh = (struct admin_name){partner_id, p.client_id, names->first};
    names->first = fresh;
    *client_id = p.client_id;
    return ERR_NONE;
}

struct str admin_reason(struct arena *a, const struct err *err) {
    struct buf text;
    buf_init(&text, 2 * ERR_TEXT_MAX);
    for (unsigned i = 0; i < err->count; i++) {
        if (i > 0)
            buf_add_text(&text, "; ");
        buf_add_text(&text, err_message(err, i));
    }
    struct str reason = arena_str(a, buf_str(&text));
    buf_release(&text);
    return reason;
}

bool admin_yes_no(struct str text, bool *out) {
    static const char *const words[][2] = {{"no", "yes"}, {"false", "true"}, {"0", "1"}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        for (int value = 0; value <= 1; value++) {
            if (str_eq_nocase(text, str_of(words[i][value]))) {
                *out = value;
                return true;
            }
        }
    }
    return false;
}

void admin_money(struct jw *w, const char *price_key, const char *currency_key, const struct money *m) {
    int decimals = currency_decimals(str_of(m->currency));
    jw_money(w, price_key, m->minor, decimals < 0 ? 2 : decimals);
    jw_text(w, currency_key, m->currency);
}
