// SPDX-License-Identifier: Apache-2.0
/*
 * fake.c - the scripted network element: rules, what was done, and the answers that are on their way.
 *
 * The element (what was done, the script's counts) is shared by its connections (twins) under one lock; the answers on their way belong to
 * the connection they were asked on and are lost with it.
 */
#include "peer/fake.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum action { ACT_DONE, ACT_LATE, ACT_REFUSE, ACT_UNAVAILABLE, ACT_HANG, ACT_LOST_UNDONE, ACT_LOSE, ACT_TWICE, ACTIONS };
static const char *const action_words[ACTIONS] = {"done", "late", "refuse", "unavailable", "hang", "lost-undone", "lose", "twice"};

struct rule {
    int kind, verb; // -1: any
    char suffix[ICCID_TEXT];
    int64_t left; // -1: for ever
    enum action action;
    int64_t delay_ms;
};

struct record {
    char identity[64];
    uint32_t next; // in its bucket, index + 1
    int done, undone, calls;
    bool is_done;
};

struct deed {
    uint32_t record;
    enum task_verb verb;
};

#define BUCKETS 4096

struct element {
    pthread_mutex_t lock;
    int users;
    struct rule rules[FAKE_RULES_MAX];
    size_t n_rules;
    uint32_t buckets[BUCKETS]; // index + 1 of the first record
    struct record *records;
    size_t n_records, cap_records;
    struct deed *deeds;
    size_t n_deeds, cap_deeds;
};

struct answer {
    int64_t call;
    int64_t due_ns;
    struct peer_outcome outcome;
};

struct fake {
    struct peer p;
    struct element *el;
    const struct clock *clock;
    struct answer *answers; // in the order asked; few
    size_t n_answers, cap_answers;
};

// Room for one more element of `size`; false when memory is gone.
static bool grow(void **items, size_t *cap, size_t n, size_t size) {
    if (n < *cap)
        return true;
    size_t want = *cap ? *cap * 2 : 64;
    void *more = realloc(*items, want * size);
    if (!more)
        return false;
    *items = more;
    *cap = want;
    return true;
}

// ---- the script ----

static int word_index(struct str word, const char *const *words, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (str_eq_nocase(word, str_of(words[i])))
            return (int)i;
    return -1;
}

// The next blank-separated word of *rest.
static struct str next_word(struct str *rest) {
    struct str head;
    *rest = str_trim(*rest);
    *rest = str_cut(*rest, ' ', &head);
    return head;
}

static bool parse_delay(struct str text, int64_t *ms) {
    uint64_t n;
    int64_t unit = str_ends(text, "ms") ? 1 : str_ends(text, "s") ? 1000 : 0;
    if (!unit)
        return false;
    text.n -= unit == 1 ? 2 : 1;
    if (!str_to_u64(text, &n) || n > 86400000)
        return false;
    *ms = (int64_t)n * unit;
    return true;
}

static enum err_kind parse_rule(struct str line, int number, struct rule *out, struct err *err) {
    struct rule r = {.kind = -1, .verb = -1, .left = -1};
    struct str match;
    struct str act = str_cut(line, ':', &match);
    if (!str_present(act))
        return err_set(err, ERR_INVALID, "line %d: no ':' between what matches and the action", number);

    struct str kind = next_word(&match), verb = next_word(&match), suffix = next_word(&match), times = next_word(&match);
    if (!times.n || str_trim(match).n)
        return err_set(err, ERR_INVALID, "line %d: kind, verb, ICCID suffix and times must stand before ':'", number);
    if (!str_is(kind, "*") && (r.kind = word_index(kind, task_kind_words, TASK_KINDS)) < 0)
        return err_set(err, ERR_INVALID, "line %d: no kind of task '" STR_FMT "'", number, STR_ARG(kind));
    if (!str_is(verb, "*") && (r.verb = word_index(verb, task_verb_words, TASK_CANCEL + 1)) < 0)
        return err_set(err, ERR_INVALID, "line %d: no verb '" STR_FMT "'", number, STR_ARG(verb));
    if (!str_is(suffix, "*") && (!str_all_digits(suffix) || !str_to_buf(suffix, r.suffix, sizeof(r.suffix))))
        return err_set(err, ERR_INVALID, "line %d: the ICCID suffix must be up to 20 digits or *", number);
    if (!str_is(times, "*") && (!str_to_i64(times, &r.left) || r.left < 0))
        return err_set(err, ERR_INVALID, "line %d: times must be a number or *", number);

    struct str word = next_word(&act), delay = next_word(&act);
    int action = word_index(word, action_words, ACTIONS);
    if (action < 0 || str_trim(act).n)
        return err_set(err, ERR_INVALID, "line %d: no action '" STR_FMT "'", number, STR_ARG(word));
    r.action = (enum action)action;
    r.delay_ms = r.action == ACT_LATE ? 1000 : 0;
    if (delay.n && !parse_delay(delay, &r.delay_ms))
        return err_set(err, ERR_INVALID, "line %d: a delay is written 500ms or 3s", number);
    *out = r;
    return ERR_NONE;
}

static enum err_kind parse_script(struct element *el, struct str script, struct err *err) {
    for (int number = 1; str_present(script); number++) {
        struct str line;
        script = str_cut(script, '\n', &line);
        line = str_trim(line);
        if (!line.n || line.p[0] == '#')
            continue;
        if (el->n_rules == FAKE_RULES_MAX)
            return err_set(err, ERR_INVALID, "line %d: more than %d rules", number, FAKE_RULES_MAX);
        enum err_kind k = parse_rule(line, number, &el->rules[el->n_rules], err);
        if (k)
            return k;
        el->n_rules++;
    }
    return ERR_NONE;
}

// The rule that serves this call, used up by one; NULL: none.
static const struct rule *rule_for(struct element *el, const struct peer_request *r) {
    char iccid[ICCID_TEXT] = "";
    if (r->sim.iccid != ICCID_NONE)
        iccid_format(r->sim.iccid, iccid);
    for (size_t i = 0; i < el->n_rules; i++) {
        struct rule *rule = &el->rules[i];
        if ((rule->kind >= 0 && rule->kind != (int)r->kind) || (rule->verb >= 0 && rule->verb != (int)r->verb) || rule->left == 0 ||
            !str_ends(str_of(iccid), rule->suffix))
            continue;
        if (rule->left > 0)
            rule->left--;
        return rule;
    }
    return NULL;
}

// ---- what was done ----

static uint32_t bucket_of(const char *identity) {
    uint32_t h = 2166136261U; // FNV-1a
    for (; *identity; identity++)
        h = (h ^ (uint8_t)*identity) * 16777619U;
    return h % BUCKETS;
}

static struct record *record_find(struct element *el, const char *identity) {
    for (uint32_t i = el->buckets[bucket_of(identity)]; i; i = el->records[i - 1].next)
        if (strcmp(el->records[i - 1].identity, identity) == 0)
            return &el->records[i - 1];
    return NULL;
}

// NULL: full.
static struct record *record_of(struct element *el, const char *identity) {
    struct record *rec = record_find(el, identity);
    if (rec)
        return rec;
    if (el->n_records == FAKE_IDENTITIES_MAX || !grow((void **)&el->records, &el->cap_records, el->n_records, sizeof(*el->records)))
        return NULL;
    uint32_t *bucket = &el->buckets[bucket_of(identity)];
    rec = &el->records[el->n_records++];
    *rec = (struct record){.next = *bucket};
    snprintf(rec->identity, sizeof(rec->identity), "%s", identity);
    *bucket = (uint32_t)el->n_records;
    return rec;
}

// Carries the call out and says what is so.
static enum outcome_kind carry_out(struct element *el, struct record *rec, enum task_verb verb) {
    bool was_done = rec->is_done;
    if (verb == TASK_PROBE)
        return was_done ? OUTCOME_DONE : OUTCOME_NOT_DONE;
    if (verb == TASK_CANCEL && !was_done)
        return OUTCOME_NOT_DONE;
    if (!grow((void **)&el->deeds, &el->cap_deeds, el->n_deeds, sizeof(*el->deeds)))
        return OUTCOME_UNAVAILABLE;
    el->deeds[el->n_deeds++] = (struct deed){(uint32_t)(rec - el->records), verb};
    if (verb == TASK_CANCEL)
        rec->undone++;
    else
        rec->done++;
    rec->is_done = verb == TASK_START;
    return OUTCOME_DONE;
}

// ---- calls ----

static void answer_later(struct fake *f, int64_t call, const struct peer_outcome *o, int64_t delay_ms) {
    if (!grow((void **)&f->answers, &f->cap_answers, f->n_answers, sizeof(*f->answers)))
        return; // lost, which is this peer's trade
    f->answers[f->n_answers++] = (struct answer){call, clock_mono(f->clock).ns + delay_ms * 1000000, *o};
}

static void fake_call(struct peer *p, const struct peer_request *r) {
    struct fake *f = CONTAINER_OF(p, struct fake, p);
    struct element *el = f->el;
    struct peer_outcome o = {.kind = OUTCOME_DONE};
    int64_t delay_ms = 0;
    bool answers = true, again = false;

    pthread_mutex_lock(&el->lock);
    const struct rule *rule = rule_for(el, r);
    enum action action = rule ? rule->action : ACT_DONE;
    delay_ms = rule ? rule->delay_ms : 0;
    struct record *rec = record_of(el, r->identity);
    if (!rec)
        action = ACT_UNAVAILABLE;
    else
        rec->calls++;
    switch (action) {
    case ACT_REFUSE:
        if (r->verb == TASK_PROBE && rec->is_done) // what is done cannot have been refused
            break;
        o.kind = OUTCOME_REFUSED;
        snprintf(o.note, sizeof(o.note), "refused by script");
        break;
    case ACT_UNAVAILABLE:
        o.kind = OUTCOME_UNAVAILABLE;
        snprintf(o.note, sizeof(o.note), "away");
        break;
    case ACT_HANG:
    case ACT_LOST_UNDONE:
        answers = false;
        break;
    case ACT_LOSE:
        o.kind = carry_out(el, rec, r->verb);
        answers = false;
        break;
    case ACT_TWICE:
        again = true;
        o.kind = carry_out(el, rec, r->verb);
        break;
    default:
        o.kind = carry_out(el, rec, r->verb);
    }
    pthread_mutex_unlock(&el->lock);

    if (!answers)
        return;
    if (again || delay_ms)
        answer_later(f, r->call, &o, delay_ms);
    if (again || !delay_ms)
        p->done(p->ctx, r->call, &o);
}

static int64_t fake_tick(struct peer *p, struct mono now) {
    struct fake *f = CONTAINER_OF(p, struct fake, p);
    int64_t next = INT64_MAX;
    size_t kept = 0;
    for (size_t i = 0; i < f->n_answers; i++) {
        if (f->answers[i].due_ns <= now.ns) {
            p->done(p->ctx, f->answers[i].call, &f->answers[i].outcome);
            continue;
        }
        if (f->answers[i].due_ns < next)
            next = f->answers[i].due_ns;
        f->answers[kept++] = f->answers[i];
    }
    f->n_answers = kept;
    return next;
}

static void fake_close(struct peer *p) {
    struct fake *f = CONTAINER_OF(p, struct fake, p);
    struct element *el = f->el;
    pthread_mutex_lock(&el->lock);
    bool last = --el->users == 0;
    pthread_mutex_unlock(&el->lock);
    if (last) {
        pthread_mutex_destroy(&el->lock);
        free(el->records);
        free(el->deeds);
        free(el);
    }
    free(f->answers);
    free((void *)(uintptr_t)p->name); // ours, const for everybody else
    free(f);
}

static const struct peer_ops fake_ops = {
    .type = "fake",
    .call = fake_call,
    .tick = fake_tick,
    .close = fake_close,
};

static struct peer *connect_to(struct element *el, const char *name, const struct clock *clock) {
    struct fake *f = xcalloc(1, sizeof(*f));
    f->p = (struct peer){.ops = &fake_ops, .name = xstrdup(name), .calls_max = 64};
    f->el = el;
    f->clock = clock;
    el->users++;
    return &f->p;
}

enum err_kind peer_fake_open(const char *name, struct str script, const struct clock *clock, struct peer **out, struct err *err) {
    struct element *el = xcalloc(1, sizeof(*el));
    enum err_kind k = parse_script(el, script, err);
    if (k) {
        free(el);
        return k;
    }
    CHECK(pthread_mutex_init(&el->lock, NULL) == 0);
    *out = connect_to(el, name, clock);
    return ERR_NONE;
}

struct peer *peer_fake_twin(struct peer *p) {
    struct fake *f = CONTAINER_OF(p, struct fake, p);
    pthread_mutex_lock(&f->el->lock);
    struct peer *twin = connect_to(f->el, p->name, f->clock);
    pthread_mutex_unlock(&f->el->lock);
    twin->calls_max = p->calls_max;
    return twin;
}

void peer_fake_count(struct peer *p, const char *identity, int *done, int *undone, int *calls) {
    struct element *el = CONTAINER_OF(p, struct fake, p)->el;
    pthread_mutex_lock(&el->lock);
    const struct record *rec = record_find(el, identity);
    *done = rec ? rec->done : 0;
    *undone = rec ? rec->undone : 0;
    *calls = rec ? rec->calls : 0;
    pthread_mutex_unlock(&el->lock);
}

const char *peer_fake_deed(struct peer *p, size_t n, enum task_verb *verb) {
    struct element *el = CONTAINER_OF(p, struct fake, p)->el;
    const char *identity = NULL;
    pthread_mutex_lock(&el->lock);
    if (n < el->n_deeds) {
        *verb = el->deeds[n].verb;
        identity = el->records[el->deeds[n].record].identity;
    }
    pthread_mutex_unlock(&el->lock);
    return identity; // holds until the next call: records may move
}
