// SPDX-License-Identifier: Apache-2.0
#include "api/preferences.h"

#include "api/resource.h"
#include "http/client.h"
#include "render/render.h"
#include "store/store_sim.h"

struct preferences {
    enum notification_type type; // put, delete
    struct str url;              // put
    struct sim sim;
    struct sim_notification list[NOTIFY_TYPES];
    size_t n;
};

// ---- the list ----

static enum err_kind read_list(struct tx *tx, struct preferences *s, struct arena *a, struct err *err) {
    return store_notification_list(tx, s->sim.iccid, a, s->list, &s->n, err);
}

enum err_kind preferences_get_work(struct call *c, struct tx *tx, struct err *err) {
    struct preferences *s = arena_new(c->arena, struct preferences);
    if (!s)
        return call_no_memory(err);
    c->state = s;
    enum err_kind kind = call_sim(c, tx, &s->sim, err);
    return kind == ERR_NONE ? read_list(tx, s, c->arena, err) : kind;
}

void preferences_reply(struct call *c) {
    struct preferences *s = c->state;
    struct jw w = call_json(c, 200);
    render_preferences(&w, NULL, links_of(c->api), s->sim.iccid, s->list, s->n);
}

// ---- one of them ----

static enum err_kind begin(struct call *c, struct err *err) {
    struct preferences *s = arena_new(c->arena, struct preferences);
    if (!s)
        return call_no_memory(err);
    c->state = s;
    struct str type = c->params[1];
    if (str_is(type, "SUBSCRITPION_END")) // as the documentation misspells it
        type = STR("SUBSCRIPTION_END");
    for (int i = 0; i < NOTIFY_TYPES; i++)
        if (str_is(type, notification_words[i])) {
            s->type = (enum notification_type)i;
            return ERR_NONE;
        }
    return err_set(err, ERR_NOT_FOUND, "type: must be one of USAGE_THRESHOLD, SUBSCRIPTION_END, DOWNLOAD_PROGRESS");
}

enum err_kind preference_put_parse(struct call *c, struct err *err) {
    enum err_kind kind = begin(c, err);
    if (kind != ERR_NONE)
        return kind;
    struct preferences *s = c->state;
    s->url = json_take_str(c->body, "", "webhook_url", JSON_REQUIRED, HTTP_URL_MAX, err);
    if (str_present(s->url) && s->url.n > 0) {
        const char *fault = http_url_fault(s->url);
        if (fault)
            err_add(err, ERR_INVALID, "webhook_url: %s", fault);
        else if (!api_settings(c->api)->private_targets && !http_url_public(s->url))
            err_add(err, ERR_INVALID, "webhook_url: must not lead to a private, local or reserved address");
    }
    return err->kind;
}

enum err_kind preference_put_work(struct call *c, struct tx *tx, struct err *err) {
    struct preferences *s = c->state;
    enum err_kind kind = call_sim(c, tx, &s->sim, err);
    if (kind != ERR_NONE)
        return kind;
    if ((kind = store_notification_put(tx, s->sim.iccid, s->type, s->url, err)) != ERR_NONE)
        return kind;
    return read_list(tx, s, c->arena, err);
}

enum err_kind preference_delete_parse(struct call *c, struct err *err) {
    return begin(c, err);
}

enum err_kind preference_delete_work(struct call *c, struct tx *tx, struct err *err) {
    struct preferences *s = c->state;
    enum err_kind kind = call_sim(c, tx, &s->sim, err);
    if (kind != ERR_NONE)
        return kind;
    bool was_there;
    if ((kind = store_notification_delete(tx, s->sim.iccid, s->type, &was_there, err)) != ERR_NONE)
        return kind;
    return was_there ? ERR_NONE : err_set(err, ERR_NOT_FOUND, "type: no webhook is registered for %s", notification_words[s->type]);
}

void preference_delete_reply(struct call *c) {
    call_empty(c, 204);
}
