// SPDX-License-Identifier: Apache-2.0
/*
 * admin_partner.c - partners and their secrets. A secret leaves the server once, in the answer to the call that made it; what is kept is a
 * salted hash.
 */
#include "api/admin.h"
#include "api/resource.h"
#include "base/secret.h"
#include "core/codes.h"
#include "life/sandbox.h"

#define NAME_MAX_BYTES 128
#define CLIENT_ID_MAX 64
#define CURRENCIES_MAX 200
#define COUNT_MAX INT64_C(1000000000)
#define EVENT_DAYS_DEFAULT 90
#define EVENT_DAYS_MAX 3660
#define OVERLAP_MAX (INT64_C(366) * 86400)
#define MADE_ID_BYTES 9 // 12 characters of base64url

static const char *const mode_words[] = {"live", "sandbox", NULL};

// ---- what may be set ----

enum given {
    GIVEN_NAME = 1 << 0,
    GIVEN_CURRENCIES = 1 << 1,
    GIVEN_NEEDS = 1 << 2,
    GIVEN_CAP_DAY = 1 << 3,
    GIVEN_CAP_MONTH = 1 << 4,
    GIVEN_RATE = 1 << 5,
    GIVEN_EVENT_DAYS = 1 << 6,
    GIVEN_THRESHOLDS = 1 << 7,
};

struct partner_write {
    unsigned given;
    struct partner asked;
    struct str secret;      // chosen by the operator; STR_NONE: one is made
    char made[SECRET_TEXT]; // of the run that was committed
    char made_id[4 * MADE_ID_BYTES / 3 + 2];
    int64_t overlap_seconds;
    struct partner partner; // as it is now
    struct wall old_secrets_end;
};

static struct partner_write *begin(struct call *c) {
    return c->state = arena_new(c->arena, struct partner_write);
}

// An array of strings, handed one by one to `take`, which says whether it is a good one.
static void take_words(struct call *c, struct partner_write *s, const char *key, const char *what, unsigned given,
                       bool (*take)(struct partner_write *s, struct buf *list, struct str word), struct str *list, struct err *err) {
    json_t *array = json_take_array(c->body, "", key, JSON_OPTIONAL, err), *item;
    size_t i;
    struct buf words;
    if (!array)
        return;
    if (json_array_size(array) > CURRENCIES_MAX) {
        err_add(err, ERR_INVALID, "%s: has too many entries", key);
        return;
    }
    buf_init(&words, 8 * CURRENCIES_MAX);
    json_array_foreach(array, i, item) {
        struct str word = {json_is_string(item) ? json_string_value(item) : NULL, json_string_length(item)};
        if (!word.p || !take(s, &words, word))
            err_add(err, ERR_INVALID, "%s.%zu: must be %s", key, i, what);
    }
    if (list)
        *list = arena_str(c->arena, buf_str(&words));
    buf_release(&words);
    s->given |= given;
}

static bool take_currency(struct partner_write *s UNUSED, struct buf *list, struct str word) {
    if (currency_decimals(word) < 0)
        return false;
    if (list->n > 0)
        buf_add_char(list, ' ');
    buf_add_str(list, word);
    return true;
}

static bool take_need(struct partner_write *s, struct buf *list UNUSED, struct str word) {
    for (int i = 0; subscriber_field_names[i]; i++) {
        if (str_is(word, subscriber_field_names[i])) {
            s->asked.needs |= 1u << i;
            return true;
        }
    }
    return false;
}

static void take_number(struct call *c, struct partner_write *s, const char *key, enum given given, int64_t min, int64_t max, int64_t *out,
                        struct err *err) {
    if (json_take_i64(c->body, "", key, JSON_OPTIONAL, min, max, out, err))
        s->given |= given;
}

// An empty list: the default again.
static void take_thresholds(struct call *c, struct partner_write *s, struct err *err) {
    json_t *array = json_take_array(c->body, "", "thresholds", JSON_OPTIONAL, err), *item;
    size_t i;
    if (!array)
        return;
    if (json_array_size(array) > THRESHOLDS_MAX) {
        err_add(err, ERR_INVALID, "thresholds: must be at most %d", THRESHOLDS_MAX);
        return;
    }
    json_array_foreach(array, i, item) {
        if (!json_is_integer(item) || !thresholds_add(&s->asked.thresholds, json_integer_value(item)))
            err_add(err, ERR_INVALID, "thresholds.%zu: must be a whole number of percent from 1 to 99, each once", i);
    }
    s->given |= GIVEN_THRESHOLDS;
}

static void take_settings(struct call *c, struct partner_write *s, enum json_need need, struct err *err) {
    s->asked.name = json_take_str(c->body, "", "name", need, NAME_MAX_BYTES, err);
    if (str_present(s->asked.name)) {
        s->given |= GIVEN_NAME;
        if (str_trim(s->asked.name).n == 0)
            err_add(err, ERR_INVALID, "name: must not be empty");
    }
    take_words(c, s, "currencies", "a currency code of ISO 4217, such as EUR", GIVEN_CURRENCIES, take_currency, &s->asked.currencies, err);
    take_words(c, s, "required_fields", "first_name, last_name, country_of_residence, language or device.operating_system", GIVEN_NEEDS,
               take_need, NULL, err);
    take_number(c, s, "cap_day", GIVEN_CAP_DAY, 0, COUNT_MAX, &s->asked.cap_day, err);
    take_number(c, s, "cap_month", GIVEN_CAP_MONTH, 0, COUNT_MAX, &s->asked.cap_month, err);
    take_number(c, s, "rate_per_minute", GIVEN_RATE, -1, COUNT_MAX, &s->asked.rate_per_minute, err);
    take_number(c, s, "event_days", GIVEN_EVENT_DAYS, 1, EVENT_DAYS_MAX, &s->asked.event_days, err);
    take_thresholds(c, s, err);
}

static void settings_apply(struct partner *p, const struct partner_write *s) {
    if (s->given & GIVEN_NAME)
        p->name = s->asked.name;
    if (s->given & GIVEN_CURRENCIES)
        p->currencies = s->asked.currencies;
    if (s->given & GIVEN_NEEDS)
        p->needs = s->asked.needs;
    if (s->given & GIVEN_CAP_DAY)
        p->cap_day = s->asked.cap_day;
    if (s->given & GIVEN_CAP_MONTH)
        p->cap_month = s->asked.cap_month;
    if (s->given & GIVEN_RATE)
        p->rate_per_minute = s->asked.rate_per_minute;
    if (s->given & GIVEN_EVENT_DAYS)
        p->event_days = s->asked.event_days;
    if (s->given & GIVEN_THRESHOLDS)
        p->thresholds = s->asked.thresholds;
}

static void take_secret(struct call *c, struct partner_write *s, struct err *err) {
    s->secret = json_take_str(c->body, "", "client_secret", JSON_OPTIONAL, SECRET_MAX, err);
    if (str_present(s->secret) && s->secret.n < SECRET_MIN)
        err_add(err, ERR_INVALID, "client_secret: must be at least %d bytes long", SECRET_MIN);
}

// Stores the chosen secret or a fresh one; those before it end at `others_expire`.
static enum err_kind add_secret(struct partner_write *s, struct tx *tx, int64_t partner_id, struct wall others_expire, struct err *err) {
    struct str secret = s->secret;
    if (!str_present(secret)) {
        secret_make(tx_rng(tx), s->made);
        secret = str_of(s->made);
    }
    struct secret_hash hash;
    secret_hash_of(tx_rng(tx), secret, &hash);
    return store_partner_secret_add(tx, partner_id, &hash, others_expire, err);
}

// ---- showing ----

static void put_words(struct jw *w, const char *key, struct str list) {
    struct str word;
    jw_array(w, key);
    while (list.n > 0) {
        list = str_cut(list, ' ', &word);
        if (word.n > 0)
            jw_str(w, NULL, word);
    }
    jw_end_array(w);
}

// Writes the members; the caller opens and closes the object.
static void put_partner(struct call *c, struct jw *w, const struct partner *p) {
    jw_str(w, "client_id", p->client_id);
    jw_str(w, "name", p->name);
    jw_text(w, "mode", mode_words[p->mode]);
    jw_bool(w, "disabled", p->disabled);
    put_words(w, "currencies", p->currencies);
    jw_array(w, "required_fields");
    for (int i = 0; subscriber_field_names[i]; i++)
        if (p->needs & 1u << i)
            jw_text(w, NULL, subscriber_field_names[i]);
    jw_end_array(w);
    jw_i64(w, "cap_day", p->cap_day);
    jw_i64(w, "cap_month", p->cap_month);
    jw_i64(w, "rate_per_minute", p->rate_per_minute);
    jw_i64(w, "event_days", p->event_days);
    struct thresholds thresholds = partner_thresholds(p);
    jw_array(w, "thresholds");
    for (int i = 0; i < thresholds.n; i++)
        jw_i64(w, NULL, thresholds.percent[i]);
    jw_end_array(w);
    jw_date(w, "created_date", p->created);
    jw_object(w, "_metadata");
    jw_object(w, "links");
    call_link(c, w, "_self", "/admin/v1/partners/" STR_FMT, STR_ARG(p->client_id));
    jw_end_object(w);
    jw_end_object(w);
}

static void reply_partner(struct call *c, int status, bool with_secret) {
    const struct partner_write *s = c->state;
    struct jw w = call_json(c, status);
    jw_object(&w, NULL);
    if (with_secret)
        jw_str(&w, "client_secret", str_present(s->secret) ? s->secret : str_of(s->made));
    put_partner(c, &w, &s->partner);
    jw_date_if(&w, "old_secrets_end", s->old_secrets_end);
    jw_end_object(&w);
}

// ---- POST /admin/v1/partners ----

enum err_kind admin_partner_create_parse(struct call *c, struct err *err) {
    struct partner_write *s = begin(c);
    if (!s)
        return call_no_memory(err);
    s->asked.event_days = EVENT_DAYS_DEFAULT;
    s->asked.currencies = STR("");
    s->asked.client_id = json_take_str(c->body, "", "client_id", JSON_OPTIONAL, CLIENT_ID_MAX, err);
    if (str_present(s->asked.client_id) && !client_id_valid(s->asked.client_id))
        err_add(err, ERR_INVALID, "client_id: must be 1 to 64 letters, digits, dots, hyphens or underscores");
    int mode = json_take_word(c->body, "", "mode", JSON_OPTIONAL, mode_words, err);
    s->asked.mode = mode < 0 ? PARTNER_LIVE : (enum partner_mode)mode;
    take_settings(c, s, JSON_REQUIRED, err);
    take_secret(c, s, err);
    return err->kind;
}

enum err_kind admin_partner_create_work(struct call *c, struct tx *tx, struct err *err) {
    struct partner_write *s = c->state;
    s->partner = s->asked;
    s->partner.created = tx_now(tx);
    s->old_secrets_end = WALL_NONE;
    if (!str_present(s->partner.client_id)) {
        uint8_t random[MADE_ID_BYTES];
        rng_fill(tx_rng(tx), random, sizeof random);
        s->partner.client_id = (struct str){s->made_id, base64url_encode(random, sizeof random, false, s->made_id)};
    }
    enum err_kind kind = store_partner_insert(tx, &s->partner, err);
    if (kind == ERR_CONFLICT)
        return err_set(err, ERR_CONFLICT, "client_id: is taken");
    if (kind == ERR_NONE)
        kind = add_secret(s, tx, s->partner.id, WALL_NONE, err);
    if (kind == ERR_NONE && s->partner.mode == PARTNER_SANDBOX)
        kind = sandbox_furnish(tx, c->arena, &s->partner, err);
    if (kind == ERR_NONE)
        tx_news(tx, NEWS_PARTNERS);
    return kind;
}

void admin_partner_create_reply(struct call *c) {
    const struct partner_write *s = c->state;
    reply_partner(c, 201, true);
    call_location(c, "/admin/v1/partners/" STR_FMT, STR_ARG(s->partner.client_id));
    ADMIN_LOG(c, "partner_added", LOG_STR("client_id", s->partner.client_id), LOG_INT("partner", s->partner.id));
}

// ---- GET /admin/v1/partners ----

struct partner_list {
    struct page page;
    struct partner *partners;
    size_t n;
};

enum err_kind admin_partner_list_parse(struct call *c, struct err *err) {
    struct partner_list *s = c->state = arena_new(c->arena, struct partner_list);
    return s ? page_parse(c, &s->page, err) : call_no_memory(err);
}

enum err_kind admin_partner_list_work(struct call *c, struct tx *tx, struct err *err) {
    struct partner_list *s = c->state;
    return store_partner_list(tx, page_offset(&s->page), s->page.size, c->arena, &s->partners, &s->n, &s->page.total, err);
}

void admin_partner_list_reply(struct call *c) {
    const struct partner_list *s = c->state;
    struct jw w = call_json(c, 200);
    jw_object(&w, NULL);
    jw_array(&w, "data");
    for (size_t i = 0; i < s->n; i++) {
        jw_object(&w, NULL);
        put_partner(c, &w, &s->partners[i]);
        jw_end_object(&w);
    }
    jw_end_array(&w);
    page_metadata(c, &w, &s->page);
    jw_end_object(&w);
}

// ---- GET /admin/v1/partners/{client_id} ----

enum err_kind admin_partner_get_work(struct call *c, struct tx *tx, struct err *err) {
    struct partner_write *s = begin(c);
    if (!s)
        return call_no_memory(err);
    struct partner_secret secrets[PARTNER_SECRETS_MAX];
    size_t n = 0;
    s->old_secrets_end = WALL_NONE;
    enum err_kind kind = admin_partner_of_path(c, tx, &s->partner, err);
    if (kind == ERR_NONE)
        kind = store_partner_secrets(tx, s->partner.id, secrets, &n, err);
    for (size_t i = 0; kind == ERR_NONE && i < n; i++)
        if (wall_set(secrets[i].expires) && secrets[i].expires.ms > c->now.ms &&
            (!wall_set(s->old_secrets_end) || secrets[i].expires.ms > s->old_secrets_end.ms))
            s->old_secrets_end = secrets[i].expires;
    return kind;
}

void admin_partner_get_reply(struct call *c) {
    reply_partner(c, 200, false);
}

// ---- PATCH /admin/v1/partners/{client_id} ----

enum err_kind admin_partner_patch_parse(struct call *c, struct err *err) {
    struct partner_write *s = begin(c);
    if (!s)
        return call_no_memory(err);
    take_settings(c, s, JSON_OPTIONAL, err);
    static const char *const fixed[] = {"client_id", "mode", "client_secret", "disabled"};
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        if (json_object_get(c->body, fixed[i]))
            err_add(err, ERR_INVALID, "%s: cannot be changed here", fixed[i]);
    return err->kind;
}

// Reads the partner, lets `settings` or `disabled` change it, writes it back.
static enum err_kind change(struct call *c, struct tx *tx, struct partner_write *s, const bool *disabled, struct err *err) {
    s->old_secrets_end = WALL_NONE;
    enum err_kind kind = admin_partner_of_path(c, tx, &s->partner, err);
    if (kind != ERR_NONE)
        return kind;
    settings_apply(&s->partner, s);
    if (disabled)
        s->partner.disabled = *disabled;
    if ((kind = store_partner_update(tx, &s->partner, err)) == ERR_NONE)
        tx_news(tx, NEWS_PARTNERS);
    return kind;
}

enum err_kind admin_partner_patch_work(struct call *c, struct tx *tx, struct err *err) {
    return change(c, tx, c->state, NULL, err);
}

void admin_partner_patch_reply(struct call *c) {
    const struct partner_write *s = c->state;
    reply_partner(c, 200, false);
    ADMIN_LOG(c, "partner_changed", LOG_STR("client_id", s->partner.client_id), LOG_INT("partner", s->partner.id));
}

// ---- POST /admin/v1/partners/{client_id}/disable and .../enable ----

static enum err_kind set_disabled(struct call *c, struct tx *tx, bool disabled, struct err *err) {
    struct partner_write *s = begin(c);
    return s ? change(c, tx, s, &disabled, err) : call_no_memory(err);
}

enum err_kind admin_partner_disable_work(struct call *c, struct tx *tx, struct err *err) {
    return set_disabled(c, tx, true, err);
}
enum err_kind admin_partner_enable_work(struct call *c, struct tx *tx, struct err *err) {
    return set_disabled(c, tx, false, err);
}

void admin_partner_disable_reply(struct call *c) {
    const struct partner_write *s = c->state;
    reply_partner(c, 200, false);
    ADMIN_LOG(c, "partner_disabled", LOG_STR("client_id", s->partner.client_id), LOG_INT("partner", s->partner.id));
}
void admin_partner_enable_reply(struct call *c) {
    const struct partner_write *s = c->state;
    reply_partner(c, 200, false);
    ADMIN_LOG(c, "partner_enabled", LOG_STR("client_id", s->partner.client_id), LOG_INT("partner", s->partner.id));
}

// ---- POST /admin/v1/partners/{client_id}/rotate-secret ----

enum err_kind admin_partner_rotate_parse(struct call *c, struct err *err) {
    struct partner_write *s = begin(c);
    if (!s)
        return call_no_memory(err);
    if (!c->body)
        return ERR_NONE;
    json_take_i64(c->body, "", "overlap_seconds", JSON_OPTIONAL, 0, OVERLAP_MAX, &s->overlap_seconds, err);
    take_secret(c, s, err);
    return err->kind;
}

enum err_kind admin_partner_rotate_work(struct call *c, struct tx *tx, struct err *err) {
    struct partner_write *s = c->state;
    enum err_kind kind = admin_partner_of_path(c, tx, &s->partner, err);
    if (kind != ERR_NONE)
        return kind;
    s->old_secrets_end = wall_plus_ms(tx_now(tx), s->overlap_seconds * 1000);
    if ((kind = add_secret(s, tx, s->partner.id, s->old_secrets_end, err)) == ERR_NONE)
        tx_news(tx, NEWS_PARTNERS);
    return kind;
}

void admin_partner_rotate_reply(struct call *c) {
    const struct partner_write *s = c->state;
    reply_partner(c, 200, true);
    ADMIN_LOG(c, "secret_rotated", LOG_STR("client_id", s->partner.client_id), LOG_INT("partner", s->partner.id),
              LOG_INT("overlap_seconds", s->overlap_seconds));
}
