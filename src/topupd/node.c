// SPDX-License-Identifier: Apache-2.0
#include "topupd/node.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/date.h"
#include "base/log.h"

#define NODES_MEMORY ((size_t)1 << 20)
#define MACHINE_MAX 160
#define MARGIN_MS 20000 // for a renewal that is late, and clocks that differ a little

struct seat {
    struct seat_options o;
    bool alone; // the store is this process's: nothing to lease
    struct node_row row;
    char name[NODE_NAME_MAX + 1];
    char machine[MACHINE_MAX];
    bool troubled; // said already
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop, running;
    pthread_t thread;
};

// ---- who we are ----

static void read_word(const char *path, char *out, size_t size) {
    FILE *f = fopen(path, "re");
    if (!f || !fgets(out, (int)size, f))
        snprintf(out, size, "-");
    if (f)
        fclose(f);
    out[strcspn(out, " \n")] = 0;
}

// The machine since it was started, as processes see it: only here can one tell whether a process is dead by asking for its number.
static void name_machine(char out[MACHINE_MAX]) {
    char host[65] = "-", boot[40], pids[40] = "-";
    gethostname(host, sizeof host - 1);
    for (char *p = host; *p; p++)
        if ((unsigned char)*p <= ' ')
            *p = '-';
    read_word("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
    ssize_t n = readlink("/proc/self/ns/pid", pids, sizeof pids - 1);
    if (n > 0)
        pids[n] = 0;
    snprintf(out, MACHINE_MAX, "%s %.13s %.30s", host[0] ? host : "-", boot, pids);
}

// A row's name is "<machine> <process>".
static bool is_dead_here(const struct seat *s, const struct node_row *row) {
    struct str machine = str_of(s->machine), rest = row->name;
    int64_t process;
    if (rest.n <= machine.n + 1 || memcmp(rest.p, machine.p, machine.n) != 0 || rest.p[machine.n] != ' ')
        return false;
    rest.p += machine.n + 1;
    rest.n -= machine.n + 1;
    return str_to_i64(rest, &process) && process > 1 && kill((pid_t)process, 0) != 0 && errno == ESRCH;
}

// ---- taking ----

static int64_t lease_ms(const struct seat *s) {
    return s->o.leases_ms + NODE_RENEW_MS + MARGIN_MS;
}

static bool is_free(const struct seat *s, const struct node_row *row, struct wall now) {
    return row->lease_until.ms <= now.ms || is_dead_here(s, row);
}

static enum err_kind taken(const struct node_row *row, struct err *err) {
    char until[DATE_TEXT];
    struct str host;
    date_format(row->lease_until, until);
    str_cut(row->name, ' ', &host);
    return err_set(err, ERR_CONFLICT, "node: %" PRId64 " is the number of a node that runs on " STR_FMT " (or did; then until %s)",
                   row->number, STR_ARG(host), until);
}

// The number to take: one that a dead process of this machine had, so that what it leased is free at once; else one that was never taken;
// else the one that has been free for longest.
static int64_t choose(const struct seat *s, const struct node_row *rows, size_t n, struct wall now) {
    int64_t unused = 1, oldest = 0;
    struct wall since = now;
    for (size_t i = 0; i < n; i++) {
        unused += rows[i].number == unused;
        if (rows[i].lease_until.ms > now.ms && is_dead_here(s, &rows[i]))
            return rows[i].number;
        if (rows[i].lease_until.ms <= since.ms) {
            since = rows[i].lease_until;
            oldest = rows[i].number;
        }
    }
    return unused <= NODE_NUMBER_MAX ? unused : oldest;
}

static enum err_kind take_job(struct tx *tx, void *ctx, struct err *err) {
    struct seat *s = ctx;
    struct node_row *rows = NULL;
    struct arena a;
    size_t n = 0;
    struct wall now = tx_now(tx);
    arena_init(&a, NODES_MEMORY);
    enum err_kind kind = store_node_list(tx, &a, &rows, &n, err);
    int64_t number = s->o.number;
    if (!kind && !number)
        number = choose(s, rows, n, now);
    if (!kind && !number)
        kind = err_set(err, ERR_CONFLICT, "node: all %d numbers are taken", NODE_NUMBER_MAX);
    for (size_t i = 0; !kind && i < n; i++) {
        if (rows[i].number != number)
            continue;
        if (!is_free(s, &rows[i], now))
            kind = taken(&rows[i], err);
        else if (rows[i].lease_until.ms > now.ms) // a dead one's
            kind = store_node_give_back(tx, number, rows[i].instance, err);
    }
    s->row = (struct node_row){.number = number, .instance = s->row.instance, .name = str_of(s->name), .role = s->o.role, .started = now};
    s->row.lease_until = wall_plus_ms(now, lease_ms(s));
    if (!kind)
        kind = store_node_take(tx, &s->row, err);
    arena_release(&a);
    return kind;
}

enum err_kind seat_take(const struct seat_options *o, struct seat **out, struct err *err) {
    struct seat *s = xcalloc(1, sizeof *s);
    s->o = *o;
    s->alone = store_is_alone(o->store);
    s->row.number = o->number ? o->number : 1;
    s->row.instance = (int64_t)(1 + rng_below(o->rng, INT64_MAX - 1));
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    if (o->machine)
        snprintf(s->machine, sizeof s->machine, "%s", o->machine);
    else
        name_machine(s->machine);
    snprintf(s->name, sizeof s->name, "%s %" PRId64, s->machine, o->process ? o->process : (int64_t)getpid());
    enum err_kind kind = ERR_NONE;
    // Whoever takes a number that nobody had may be just too late: then there are others.
    for (int i = 0; !s->alone && i < 20; i++) {
        err_clear(err);
        kind = store_run(o->store, take_job, s, err);
        if (kind != ERR_CONFLICT || o->number)
            break;
    }
    if (kind) {
        s->alone = true; // nothing to give back
        seat_give_back(s);
        return kind;
    }
    *out = s;
    return ERR_NONE;
}

int64_t seat_number(const struct seat *s) {
    return s->row.number;
}

int64_t seat_instance(const struct seat *s) {
    return s->alone ? 0 : s->row.instance;
}

// ---- keeping ----

static enum err_kind renew_job(struct tx *tx, void *ctx, struct err *err) {
    struct seat *s = ctx;
    return store_node_renew(tx, s->row.number, s->row.instance, wall_plus_ms(tx_now(tx), lease_ms(s)), err);
}

enum err_kind seat_renew(struct seat *s, struct err *err) {
    return s->alone ? ERR_NONE : store_run(s->o.store, renew_job, s, err);
}

static void *seat_main(void *ctx) {
    struct seat *s = ctx;
    int64_t until = clock_mono(&clock_system).ns;
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        until += (int64_t)NODE_RENEW_MS * 1000000;
        struct timespec at = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
        while (!s->stop && pthread_cond_clockwait(&s->changed, &s->lock, CLOCK_MONOTONIC, &at) == 0)
            ;
        if (s->stop)
            break;
        pthread_mutex_unlock(&s->lock);
        struct err err = {0};
        enum err_kind kind = seat_renew(s, &err);
        int64_t now = clock_mono(&clock_system).ns;
        until = now > until + INT64_C(1000000) * NODE_RENEW_MS ? now : until; // this process has stood still
        if (kind && kind != ERR_CONFLICT && !s->troubled)
            log_warn("node.renew_failed", LOG_INT("node", s->row.number), LOG_ERR(&err));
        s->troubled = kind != ERR_NONE;
        if (kind == ERR_CONFLICT) {
            log_error("node.lost", LOG_INT("node", s->row.number), LOG_ERR(&err));
            s->o.lost(s->o.ctx);
        }
        pthread_mutex_lock(&s->lock);
        if (kind == ERR_CONFLICT)
            break;
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

enum err_kind seat_run(struct seat *s, struct err *err) {
    if (s->alone)
        return ERR_NONE;
    int rc = pthread_create(&s->thread, NULL, seat_main, s);
    if (rc != 0)
        return err_set(err, ERR_INTERNAL, "no thread for the node's lease: %s", strerror(rc));
    s->running = true;
    return ERR_NONE;
}

static enum err_kind give_back_job(struct tx *tx, void *ctx, struct err *err) {
    struct seat *s = ctx;
    return store_node_give_back(tx, s->row.number, s->row.instance, err);
}

void seat_give_back(struct seat *s) {
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
    if (s->running)
        CHECK(pthread_join(s->thread, NULL) == 0);
    struct err err = {0};
    if (!s->alone && store_run(s->o.store, give_back_job, s, &err) != ERR_NONE)
        log_warn("node.give_back_failed", LOG_INT("node", s->row.number), LOG_ERR(&err)); // its lease will run out
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
