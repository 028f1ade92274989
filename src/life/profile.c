// SPDX-License-Identifier: Apache-2.0
/*
 * profile.c - an eSIM profile's way into a device, as it is told to us.
 */
#include "life/inside.h"
#include "store/store_event.h"
#include "store/store_sim.h"

static enum err_kind tell(struct tx *tx, const struct sim *sim, enum event_type type, struct buf *payload, struct wall at,
                          struct err *err) {
    if (payload->failed)
        return err_set(err, ERR_INTERNAL, "the SIM does not fit into an event");
    struct event e = {.partner_id = sim->partner_id, .type = type, .created = at, .iccid = sim->iccid, .payload = buf_str(payload)};
    return store_event_append(tx, &e, err);
}

static enum err_kind tell_sim(struct tx *tx, const struct sim *sim, enum event_type type, const struct sim_was *was, struct wall at,
                              struct err *err) {
    struct buf payload;
    buf_init(&payload, EVENT_PAYLOAD_MAX);
    event_pack_sim(&payload, sim, was);
    enum err_kind kind = tell(tx, sim, type, &payload, at, err);
    buf_release(&payload);
    return kind;
}

static enum err_kind tell_progress(struct tx *tx, const struct sim *sim, const struct profile_progress *p, struct wall at,
                                   struct err *err) {
    struct buf payload;
    buf_init(&payload, EVENT_PAYLOAD_MAX);
    event_pack_progress(&payload, sim, p);
    enum err_kind kind = tell(tx, sim, EVENT_SIM_DOWNLOAD_PROGRESS, &payload, at, err);
    buf_release(&payload);
    return kind;
}

static enum err_kind move(struct tx *tx, struct sim *sim, enum esim_status to, struct wall at, struct err *err) {
    struct sim_was was = sim_was_like(sim);
    CHECK(esim_may(sim->esim, to));
    sim->esim = to;
    sim->modified = at;
    return tell_sim(tx, sim, EVENT_SIM_STATUS_CHANGED, &was, at, err);
}

enum err_kind life_profile_eid(struct tx *tx, struct sim *sim, struct str eid, struct wall at, struct err *err) {
    if (sim->type != SIM_ESIM)
        return err_set(err, ERR_CONFLICT, "eid: only an eSIM has an EID that can be changed");
    if (sim->esim != ESIM_RELEASED)
        return err_set(err, ERR_CONFLICT, "eid: can be changed while the eSIM is Released only; it is %s", esim_status_words[sim->esim]);
    if (str_eq(sim->eid, eid)) // said again: so it is already
        return ERR_NONE;
    struct sim_was was = sim_was_like(sim);
    sim->eid = eid;
    sim->modified = at;
    enum err_kind kind = store_sim_update(tx, sim, err);
    return kind ? kind : tell_sim(tx, sim, EVENT_SIM_EID_CHANGED, &was, at, err);
}

enum err_kind life_profile_progress(struct tx *tx, struct sim *sim, const struct profile_progress *p, struct wall at, struct err *err) {
    if (sim->type != SIM_ESIM)
        return err_set(err, ERR_CONFLICT, "iccid: only an eSIM's profile is downloaded");
    if (sim->partner_id == 0 || sim->service == SIM_STOCK)
        return err_set(err, ERR_CONFLICT, "iccid: the profile is in stock: nobody can have its activation code yet");
    bool went_well = p->status == PROGRESS_SUCCESS || p->status == PROGRESS_WARNING;
    enum esim_status to = went_well ? notification_point_leads_to(p->point) : ESIM_NONE;
    enum err_kind kind = ERR_NONE;
    // The device that has it now is the one it is bound to.
    if ((to == ESIM_DOWNLOADED || to == ESIM_INSTALLED) && sim->esim == ESIM_RELEASED && str_present(p->eid))
        kind = life_profile_eid(tx, sim, p->eid, at, err);
    if (!kind)
        kind = tell_progress(tx, sim, p, at, err);
    enum esim_status was = sim->esim;
    // Installed without word of the download: it must have been there.
    if (!kind && to == ESIM_INSTALLED && esim_may(sim->esim, ESIM_DOWNLOADED))
        kind = move(tx, sim, ESIM_DOWNLOADED, at, err);
    if (!kind && to != ESIM_NONE && esim_may(sim->esim, to))
        kind = move(tx, sim, to, at, err);
    return kind || sim->esim == was ? kind : store_sim_update(tx, sim, err);
}
