// SPDX-License-Identifier: Apache-2.0
#include "auth/outside.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/claims.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"

#define FILE_MAX (1u << 20)
#define OUTSIDE_KEYS_MAX 64
#define LOOK_EVERY_NS INT64_C(1000000000)

struct key_set {
    struct jwt_key *keys[OUTSIDE_KEYS_MAX];
    size_t n;
};

// What tells one content of a file from another without reading it.
struct file_state {
    struct timespec changed;
    off_t size;
    ino_t inode;
};

struct outside {
    char *issuer, *keys_file, *audience, *client_claim;
    const struct clock *clock;
    _Atomic int64_t next_look_ns; // whoever moves it on looks at the file
    pthread_rwlock_t lock;        // of what follows
    struct key_set *set;
    struct file_state seen;
};

// ---- the key set ----

static void key_set_free(struct key_set *set) {
    if (!set)
        return;
    for (size_t i = 0; i < set->n; i++)
        jwt_key_free(set->keys[i]);
    free(set);
}

static enum err_kind file_state_of(const char *path, struct file_state *out, struct err *err) {
    struct stat st;
    if (stat(path, &st) != 0)
        return err_set(err, ERR_INVALID, "%s: %s", path, strerror(errno));
    *out = (struct file_state){st.st_mtim, st.st_size, st.st_ino};
    return ERR_NONE;
}

static bool file_state_eq(const struct file_state *a, const struct file_state *b) {
    return a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec && a->size == b->size && a->inode == b->inode;
}

static enum err_kind file_read(const char *path, struct buf *out, struct err *err) {
    char part[16384];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_set(err, ERR_INVALID, "%s: %s", path, strerror(errno));
    ssize_t n;
    while ((n = read(fd, part, sizeof(part))) > 0 && !out->failed)
        buf_add(out, part, (size_t)n);
    int why = errno;
    close(fd);
    if (n < 0)
        return err_set(err, ERR_INVALID, "%s: %s", path, strerror(why));
    if (out->failed)
        return err_set(err, ERR_INVALID, "%s: is larger than %u bytes", path, FILE_MAX);
    return ERR_NONE;
}

// Keys we cannot use (for encryption, of unknown kinds) are normal in a key set and passed over; none usable is a fault.
static enum err_kind key_set_parse(const char *path, struct str text, struct key_set **out, struct err *err) {
    json_t *root = NULL;
    enum err_kind kind = json_parse_object(text, &root, err);
    if (kind != ERR_NONE)
        return err_set(err, ERR_INVALID, "%s: is not a key set: it does not parse as a JSON object", path);
    struct key_set *set = xcalloc(1, sizeof(*set));
    json_t *keys = json_object_get(root, "keys");
    for (size_t i = 0; i < json_array_size(keys) && set->n < OUTSIDE_KEYS_MAX; i++) {
        struct err why = {0};
        if (jwt_key_of_jwk(json_array_get(keys, i), &set->keys[set->n], &why) == ERR_NONE)
            set->n++;
    }
    json_decref(root);
    if (set->n == 0) {
        key_set_free(set);
        return err_set(err, ERR_INVALID, "%s: holds no key that verifies signatures (RSA of 2048 bits and more, or EC)", path);
    }
    *out = set;
    return ERR_NONE;
}

static enum err_kind key_set_read(const char *path, struct key_set **out, struct file_state *state, struct err *err) {
    struct buf text;
    buf_init(&text, FILE_MAX);
    enum err_kind kind = file_state_of(path, state, err); // before reading: a change meanwhile is then seen the next time
    if (kind == ERR_NONE)
        kind = file_read(path, &text, err);
    if (kind == ERR_NONE)
        kind = key_set_parse(path, buf_str(&text), out, err);
    buf_release(&text);
    return kind;
}

// ---- life ----

enum err_kind outside_open(const struct outside_options *options, struct outside **out, struct err *err) {
    const char *const all[] = {options->issuer, options->keys_file, options->audience, options->client_claim};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (!all[i] || !*all[i])
            return err_set(err, ERR_INVALID, "outside issuer: issuer, keys file, audience and client claim must be set together");
    struct key_set *set;
    struct file_state seen;
    enum err_kind kind = key_set_read(options->keys_file, &set, &seen, err);
    if (kind != ERR_NONE)
        return kind;
    struct outside *o = xcalloc(1, sizeof(*o));
    o->issuer = xstrdup(options->issuer);
    o->keys_file = xstrdup(options->keys_file);
    o->audience = xstrdup(options->audience);
    o->client_claim = xstrdup(options->client_claim);
    o->clock = options->clock;
    atomic_init(&o->next_look_ns, clock_mono(o->clock).ns + LOOK_EVERY_NS);
    CHECK(pthread_rwlock_init(&o->lock, NULL) == 0);
    o->set = set;
    o->seen = seen;
    *out = o;
    return ERR_NONE;
}

void outside_close(struct outside *o) {
    if (!o)
        return;
    key_set_free(o->set);
    pthread_rwlock_destroy(&o->lock);
    free(o->issuer);
    free(o->keys_file);
    free(o->audience);
    free(o->client_claim);
    free(o);
}

// ---- checking ----

// One thread a second gets here with true; the others go on with the keys that are known.
static bool must_look(struct outside *o) {
    int64_t now = clock_mono(o->clock).ns, next = atomic_load(&o->next_look_ns);
    return now >= next && atomic_compare_exchange_strong(&o->next_look_ns, &next, now + LOOK_EVERY_NS);
}

static void look_again(struct outside *o) {
    struct err err = {0};
    struct file_state state, seen;
    pthread_rwlock_rdlock(&o->lock);
    seen = o->seen;
    pthread_rwlock_unlock(&o->lock);
    enum err_kind kind = file_state_of(o->keys_file, &state, &err);
    if (kind == ERR_NONE && file_state_eq(&state, &seen))
        return;
    struct key_set *set = NULL, *old = NULL;
    if (kind == ERR_NONE)
        kind = key_set_read(o->keys_file, &set, &state, &err);
    else
        state = (struct file_state){0}; // gone: said once, and read again when it is back
    if (kind == ERR_NONE)
        log_info("auth.outside_keys_read", LOG_TEXT("file", o->keys_file), LOG_INT("keys", (int64_t)set->n));
    else if (!file_state_eq(&state, &seen))
        log_warn("auth.outside_keys_unreadable", LOG_TEXT("file", o->keys_file), LOG_ERR(&err));
    pthread_rwlock_wrlock(&o->lock);
    o->seen = state;
    if (set) {
        old = o->set;
        o->set = set;
    }
    pthread_rwlock_unlock(&o->lock);
    key_set_free(old);
}

// The key by its name. A token without one is tried with the only key there is, never with several.
static const struct jwt_key *key_for(const struct key_set *set, struct str kid) {
    if (!str_present(kid))
        return set->n == 1 ? set->keys[0] : NULL;
    for (size_t i = 0; i < set->n; i++)
        if (str_eq(jwt_key_kid(set->keys[i]), kid))
            return set->keys[i];
    return NULL;
}

static bool is_access_token(struct str typ) {
    return !str_present(typ) || str_eq_nocase(typ, STR("JWT")) || str_eq_nocase(typ, STR("at+jwt")) ||
           str_eq_nocase(typ, STR("application/at+jwt"));
}

enum err_kind outside_check(struct outside *o, const struct jwt *t, struct wall now, struct arena *arena, struct str *client,
                            struct wall *expires, struct err *err) {
    if (must_look(o))
        look_again(o);
    pthread_rwlock_rdlock(&o->lock);
    const struct jwt_key *key = key_for(o->set, t->kid);
    bool known = key != NULL, good = key && is_access_token(t->typ) && jwt_verify(t, key);
    pthread_rwlock_unlock(&o->lock);
    if (!known)
        return err_set(err, ERR_UNAUTHORISED, "Authorization: the token is signed with an unknown key");
    if (!good)
        return err_set(err, ERR_UNAUTHORISED, "Authorization: the token's signature is not valid");

    json_t *claims;
    if (jwt_claims(t, &claims, err) != ERR_NONE)
        return err_set(err, ERR_UNAUTHORISED, "Authorization: the token is malformed");
    enum err_kind kind = claims_check(claims, o->issuer, o->audience, now, expires, err);
    struct str name = claims_str(claims, o->client_claim);
    if (kind == ERR_NONE && name.n == 0)
        kind = err_set(err, ERR_UNAUTHORISED, "Authorization: the token does not name a client");
    if (kind == ERR_NONE)
        *client = arena_str(arena, name);
    json_decref(claims);
    return kind;
}
