// SPDX-License-Identifier: Apache-2.0
#include "api/resource.h"

#include "base/date.h"
#include "store/store_archive.h"
#include "store/store_sim.h"

enum err_kind call_no_memory(struct err *err) {
    return err_set(err, ERR_INTERNAL, "the request needs more memory than a request may have");
}

iccid_t query_iccid(struct call *c, const char *name, struct err *err) {
    struct str text = query_str(c, name, 64, err);
    if (!str_present(text))
        return ICCID_NONE;
    if (str_ends(text, "/"))
        text.n--;
    iccid_t iccid;
    enum iccid_fault fault = iccid_parse(text, &iccid);
    if (fault == ICCID_OK)
        return iccid;
    err_add(err, ERR_INVALID, "%s: %s", name, iccid_fault_text(fault));
    return ICCID_NONE;
}

enum err_kind call_sim(struct call *c, struct tx *tx, struct sim *out, struct err *err) {
    iccid_t iccid;
    struct sim sim;
    enum err_kind kind = ERR_NOT_FOUND;
    if (iccid_parse(c->params[0], &iccid) == ICCID_OK)
        kind = store_sim_get(tx, iccid, c->arena, &sim, err);
    if (kind == ERR_NONE && sim.partner_id != 0 && sim.partner_id != c->partner.id)
        return err_set(err, ERR_DENIED, "iccid: the SIM belongs to another partner");
    if (kind == ERR_NONE && (sim.partner_id == 0 || sim.service != SIM_ACTIVE))
        kind = ERR_NOT_FOUND;
    if (kind == ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "iccid: there is no such activated SIM");
    if (kind == ERR_NONE)
        *out = sim;
    return kind;
}

static enum err_kind not_found(struct tx *tx, const char *what, struct uuid id, int64_t partner_id, struct err *err) {
    struct wall before = WALL_NONE;
    char date[DATE_TEXT];
    if (!uuid_is_zero(id) && uuid_partner(id) == partner_id) {
        enum err_kind kind = store_archive_marked(tx, partner_id, &before, err);
        if (kind)
            return kind;
    }
    if (!wall_set(before) || uuid_time(id).ms >= before.ms)
        return err_set(err, ERR_NOT_FOUND, "id: there is no such %s", what);
    date_format(before, date);
    return err_set(err, ERR_NOT_FOUND, "id: there is no such %s here; those of before %s that have ended were archived: ask the operator",
                   what, date);
}

enum err_kind order_not_found(struct tx *tx, struct uuid id, int64_t partner_id, struct err *err) {
    return not_found(tx, "order", id, partner_id, err);
}

enum err_kind subscription_not_found(struct tx *tx, struct uuid id, int64_t partner_id, struct err *err) {
    return not_found(tx, "subscription", id, partner_id, err);
}
