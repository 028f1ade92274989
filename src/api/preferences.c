// SPDX-License-Identifier: Apache-2.0
#include "api/preferences.h"

#include "api/resource.h"
#include "render/render.h"
#include "store/store_sim.h"

struct preferences {
    enum notification_type type; // put, delete
    struct str url;              // put
    struct sim sim;
    struct sim_notification list[NOTIFY_TYPES];
    size_t n;
};

static bool is_alnum(char ch) {
    return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
}

// A name, an IPv4 address, or an IPv6 address in brackets.
static bool host_well_formed(struct str host) {
    bool brackets = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (brackets)
        host = (struct str){host.p + 1, host.n - 2};
    if (host.n == 0 || host.n > 253)
        return false;
    for (size_t i = 0; i < host.n; i++)
        if (!is_alnum(host.p[i]) && !strchr(brackets ? ":." : "-._", host.p[i]))
            return false;
    return true;
}

static bool authority_well_formed(struct str authority) {
    for (size_t i = authority.n; i > 0; i--) // user and password, as the receiver wants them
        if (authority.p[i - 1] == '@') {
            authority = (struct str){authority.p + i, authority.n - i};
            break;
        }
    size_t host = authority.n; // a port stands behind the last colon, unless that belongs to an IPv6 address
    for (size_t i = authority.n; i > 0 && authority.p[i - 1] != ']'; i--)
        if (authority.p[i - 1] == ':') {
            host = i - 1;
            break;
        }
    if (host < authority.n) {
        struct str port = {authority.p + host + 1, authority.n - host - 1};
        uint64_t number;
        if (port.n > 0 && (!str_to_u64(port, &number) || number == 0 || number > 65535))
            return false;
    }
    return host_well_formed((struct str){authority.p, host});
}

const char *webhook_url_fault(struct str url) {
    static const char *const schemes[] = {"https://", "http://"};
    if (url.n > WEBHOOK_URL_MAX)
        return "must be at most 2048 bytes";
    for (size_t i = 0; i < url.n; i++)
        if (url.p[i] <= ' ' || url.p[i] >= 0x7f)
            return "must be ASCII without blanks; escape other characters";
    struct str rest = STR_NONE;
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        size_t n = strlen(schemes[i]);
        if (url.n > n && str_eq_nocase((struct str){url.p, n}, str_of(schemes[i])))
            rest = (struct str){url.p + n, url.n - n};
    }
    if (!str_present(rest))
        return "must be an absolute URL, http or https";
    size_t end = 0;
    while (end < rest.n && !strchr("/?#\\", rest.p[end]))
        end++;
    if (!authority_well_formed((struct str){rest.p, end}))
        return "must have a host, and a port from 1 to 65535 if any";
    return NULL;
}

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
    s->url = json_take_str(c->body, "", "webhook_url", JSON_REQUIRED, WEBHOOK_URL_MAX, err);
    if (str_present(s->url) && s->url.n > 0) {
        const char *fault = webhook_url_fault(s->url);
        if (fault)
            err_add(err, ERR_INVALID, "webhook_url: %s", fault);
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
