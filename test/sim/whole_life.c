// SPDX-License-Identifier: Apache-2.0
/*
 * whole_life.c - a recorded life of the whole server in which the nth thing fails, for every n: each call of the database driver in each of
 * the ways of db_fault.h, and each allocation.
 *
 *   whole_life [--every N] [--turns] [driver|memory]
 *   whole_life --at N          the Nth allocation alone, in this very process: for a debugger
 *
 * --turns: orders are settled by the engine's turns; otherwise, as in production, in the transaction that accepts them.
 *
 * The life: orders of all kinds under their keys, alone and in one batch, fulfilled; usage; a subscription ended by call; reading. Whatever
 * fails, each answer is an error or the right one; afterwards, with the failure gone, what was in doubt is asked again, every order comes
 * to its end, and the store is as the model says. An allocation that fails may end the process (base.h), as a crash may: the next process
 * goes on.
 */
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/date.h"
#include "base/log.h"
#include "base/metrics.h"
#include "model.h"
#include "server.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OWN_MALLOC 0
#else
#define OWN_MALLOC 1
#endif
#else
#define OWN_MALLOC 1
#endif

static int64_t allocations, allocation_that_fails;

#if OWN_MALLOC && defined(__GLIBC__)
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *p, size_t size);

static bool fails(void) {
    return server_code && ++allocations == allocation_that_fails;
}
void *malloc(size_t size) {
    return fails() ? NULL : __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
    return fails() ? NULL : __libc_calloc(count, size);
}
void *realloc(void *p, size_t size) {
    return fails() ? NULL : __libc_realloc(p, size);
}
#define MEMORY_CAN_FAIL true
#else
#define MEMORY_CAN_FAIL false
#endif

enum { ORDERS = 6 };

// Shared with the child that lives it.
static struct life {
    struct server server;
    struct model model;
    struct call_out calls[ORDERS];
    bool may_fail; // something does
    bool came_through;
    int64_t parked;
    struct wall used; // the record's time
    int64_t allocations;
    char where[64], text[512];
} * life;
static char template_folder[64];

NORETURN void sim_fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    char text[sizeof life->text];
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(life->text, text, sizeof text);
    fprintf(stderr, "whole_life: %s: %s\n", life->where, text);
    _exit(1);
}

// ---- the life ----

static void write_order(int i) {
    static const struct {
        int operation, sim_type, product, sim; // sim -1: none is named
    } kinds[ORDERS] = {{0, SIM_PSIM, 0, PSIMS / 2}, {1, SIM_PSIM, 2, 0}, {0, SIM_ESIM, 1, -1},
                       {1, SIM_PSIM, 0, 0},         {1, SIM_PSIM, 3, 1}, {0, SIM_ESIM, 0, -1}};
    struct call_out *c = &life->calls[i];
    char sim[64] = "", iccid[20] = "";
    if (kinds[i].sim >= 0) {
        sim_iccid(0, kinds[i].sim, iccid);
        snprintf(sim, sizeof sim, ",\"sim\":{\"iccid\":\"%s\"}", iccid);
    }
    *c = (struct call_out){.who = 0, .method = HTTP_POST, .target = "/v2/orders"};
    snprintf(c->correlation, sizeof c->correlation, "c-%d-0", i);
    snprintf(c->key, sizeof c->key, "k-%d", i);
    snprintf(c->body, sizeof c->body,
             "{\"operation_type\":\"%s\",\"sim_type\":\"%s\",\"country\":\"GB\",\"product\":{\"id\":\"%s\"},\"subscriber\":{\"email\":"
             "\"ada@example.com\"%s}}",
             kinds[i].operation ? "TOPUP" : "ACTIVATION", kinds[i].sim_type == SIM_ESIM ? "ESIM" : "PSIM",
             sim_products[kinds[i].product].id, sim);
    life->model.orders[i] = (struct model_order){
        .fate = FATE_DOUBT, .partner = 1, .operation = kinds[i].operation, .sim_type = kinds[i].sim_type, .product = kinds[i].product};
    memcpy(life->model.orders[i].iccid, iccid, sizeof iccid);
}

static const char *first_message(const struct call_out *c) {
    const char *text = json_string_value(json_array_get(json_object_get(c->json, "messages"), 0));
    return text ? text : "";
}

static void take_order(int i, const struct call_out *c) {
    struct model_order *o = &life->model.orders[i];
    const char *id = json_string_value(json_object_get(c->json, "id"));
    bool known = o->fate == FATE_ACKNOWLEDGED;
    if (c->status == 202 && id) {
        if (known && strcmp(id, o->id) != 0)
            sim_fail("order %s is answered with %s", o->id, id);
        snprintf(o->id, sizeof o->id, "%s", id);
        o->fate = FATE_ACKNOWLEDGED;
    } else if (!life->may_fail || (c->status != 500 && c->status != 503)) {
        sim_fail("%s: %d: %s", c->correlation, c->status, first_message(c));
    } else if (c->status == 503 && !known) {
        o->fate = FATE_REFUSED;
    }
}

static void place(int first, int n) {
    server_call(&life->server, &life->calls[first], (size_t)n);
    for (int i = first; i < first + n; i++) {
        take_order(i, &life->calls[i]);
        call_release(&life->calls[i]);
    }
}

static void drive(void) {
    struct server *s = &life->server;
    for (int n = 0; n < 6; n++) {
        struct wall wake;
        struct err err = {0};
        server_code = true;
        enum err_kind kind = engine_step(s->engines[0], &wake, &err);
        server_code = false;
        if (kind && !life->may_fail)
            sim_fail("a step fails: %s", err_first(&err));
        clock_manual_advance(&s->time, 1000);
    }
}

static void call(struct call_out *c, int wanted, int also) {
    server_call(&life->server, c, 1);
    bool broken = life->may_fail && (c->status == 500 || c->status == 503);
    if (c->status != wanted && c->status != also && !broken)
        sim_fail("%s: %d: %s", c->target, c->status, first_message(c));
}

static void use(void) {
    struct model_record *r = &life->model.records[0];
    struct call_out c = {.who = OPERATOR, .method = HTTP_POST, .target = "/admin/v1/usage"};
    char iccid[20], at[32];
    sim_iccid(0, 0, iccid);
    if (r->fate != FATE_ACKNOWLEDGED) {
        if (!life->used.ms)
            life->used = clock_wall(&life->server.clock);
        r->fate = FATE_DOUBT;
    }
    date_format(life->used, at);
    snprintf(c.body, sizeof c.body,
             "{\"source\":\"cdr\",\"records\":[{\"record_id\":\"u-0\",\"iccid\":\"%s\",\"bytes_up\":1000,\"bytes_down\":2000,\"start\":\"%"
             "s\",\"end\":\"%s\"}]}",
             iccid, at, at);
    call(&c, 200, 200);
    json_t *told = json_array_get(json_object_get(c.json, "data"), 0);
    const char *verdict = json_string_value(json_object_get(told, "verdict"));
    if (c.status == 200 && verdict && strcmp(verdict, "FAILED") != 0) {
        r->fate = FATE_ACKNOWLEDGED;
        r->unrated = json_integer_value(json_object_get(told, "unrated_bytes"));
    } else if (!life->may_fail) {
        sim_fail("usage: %s", verdict ? verdict : "no verdict");
    }
    call_release(&c);
}

static void end_one(void) {
    struct call_out c = {.who = 0, .method = HTTP_GET, .target = "/v2/subscriptions"};
    call(&c, 200, 200);
    const char *id = json_string_value(json_object_get(json_array_get(json_object_get(c.json, "data"), 0), "id"));
    if (id) {
        struct call_out end = {.who = 0, .method = HTTP_POST};
        snprintf(end.target, sizeof end.target, "/v2/subscriptions/%s/expire", id);
        call(&end, 200, 409);
        call_release(&end);
    }
    call_release(&c);
}

static void live(void) {
    place(0, 1);
    place(1, 2);
    drive();
    place(3, 3);
    drive();
    use();
    end_one();
    place(0, 1); // once more: the same answer
}

// The failure is gone: what is in doubt is asked again, and all comes to its end.
static void come_to_an_end(void) {
    struct server *s = &life->server;
    life->may_fail = false;
    model_judge(&life->model, s->store_folder, NULL, false, false, 0);
    for (int i = 0; i < ORDERS; i++)
        place(i, 1);
    clock_manual_advance(&s->time, 3600000);
    use();
    drive();
    // What could not be done for want of memory may have been laid by for an operator to see to.
    for (int i = 0; i < ORDERS; i++) {
        struct call_out c = {.who = OPERATOR, .method = HTTP_POST};
        snprintf(c.target, sizeof c.target, "/admin/v1/orders/%s/retry", life->model.orders[i].id);
        call(&c, 200, 409);
        life->parked += c.status == 200;
        call_release(&c);
    }
    drive();
    model_judge(&life->model, s->store_folder, NULL, false, true, clock_wall(&s->clock).ms);
    for (int i = 0; i < ORDERS; i++)
        if (life->model.orders[i].state != 2)
            sim_fail("order %d ended in state %d", i, life->model.orders[i].state);
}

static bool in_turns; // orders are settled in the engine's turns alone
static void begin(void) {
    server_open(&life->server, template_folder, in_turns ? 2 : 1, NULL, 0);
    life->may_fail = life->came_through = false;
    life->used = (struct wall){0};
    memset(&life->model, 0, sizeof life->model);
    life->model.n_orders = ORDERS;
    life->model.n_records = 1;
    life->model.records[0].total = 3000;
    for (int i = 0; i < ORDERS; i++)
        write_order(i);
    struct call_out c = {.who = 0, .method = HTTP_GET, .target = "/v2/products"}; // tokens are taken, and what is made once is made
    call(&c, 200, 200);
    call_release(&c);
}

// ---- what fails ----

static void driver_calls(int64_t every) {
    static const char *const names[] = {"refuses", "loses", "retry", "unsure", "dies", "expires"};
    struct server *s = &life->server;
    for (int mode = 0; mode < (int)ARRAY_LEN(names); mode++) {
        int64_t n = 1;
        for (bool hit = true; hit; n += every) {
            snprintf(life->where, sizeof life->where, "driver call %" PRId64 " %s", n, names[mode]);
            begin();
            struct rng_seeded state;
            struct rng dice = rng_seeded_init(&state, (uint64_t)n);
            life->may_fail = true;
            server_fault(s, (enum fault_mode)mode, n);
            live();
            hit = s->fault.hits > 0;
            server_crash(s, &dice); // a process that was in trouble may as well be started again
            if (!server_start(s))
                sim_fail("the server does not start again");
            come_to_an_end();
            server_close(s);
        }
        printf("driver: %s: %" PRId64 " calls\n", names[mode], n - every);
    }
}

static void in_child(int64_t n) {
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    begin();
    dup2(null, STDERR_FILENO); // a process that ends for want of memory says so
    life->may_fail = n > 0;
    allocations = 0;
    allocation_that_fails = n;
    live();
    allocation_that_fails = 0;
    life->allocations = allocations;
    life->came_through = true;
    _exit(0); // leaving all as it is
}

static int in_a_process(int64_t n) {
    int status;
    life->text[0] = 0;
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        in_child(n);
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

static void memory(int64_t every) {
    snprintf(life->where, sizeof life->where, "no allocation");
    CHECK(in_a_process(0) == 0);
    int64_t all = life->allocations, ended = 0;
    server_inherit(&life->server);
    come_to_an_end();
    server_close(&life->server);
    for (int64_t n = 1; n <= all; n += every) {
        snprintf(life->where, sizeof life->where, "allocation %" PRId64 " of %" PRId64, n, all);
        int status = in_a_process(n);
        if (WIFSIGNALED(status) && WTERMSIG(status) != SIGABRT)
            sim_fail("signal %d", WTERMSIG(status));
        if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
            sim_fail("%s", life->text[0] ? life->text : "it ended with an error");
        ended += !life->came_through;
        server_inherit(&life->server);
        come_to_an_end();
        server_close(&life->server);
    }
    printf("memory: %" PRId64 " allocations, after %" PRId64 " of which the process ended; %" PRId64 " orders laid by\n", all, ended,
           life->parked);
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"every", required_argument, NULL, 'e'},
                                            {"at", required_argument, NULL, 'a'},
                                            {"turns", no_argument, NULL, 't'},
                                            {NULL, 0, NULL, 0}};
    uint64_t every = 1, at = 0;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 't')
            in_turns = true;
        else if (c == '?' || !str_to_u64(str_of(optarg), c == 'e' ? &every : &at) || every == 0)
            return 2;
    }
    const char *what = optind < argc ? argv[optind] : "";
    life = mmap(NULL, sizeof *life, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(life != MAP_FAILED);
    log_threshold = (enum log_level)(LOG_ERROR + 1);
    snprintf(template_folder, sizeof template_folder, "%s/topupd-sim-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    CHECK(mkdtemp(template_folder) != NULL);
    model_learn(NEVER_SQL);
    server_template_make(template_folder);
    if (at > 0)
        in_child((int64_t)at);
    if (strcmp(what, "memory") != 0)
        driver_calls((int64_t)every);
    if (strcmp(what, "driver") != 0 && MEMORY_CAN_FAIL)
        memory((int64_t)every);
    server_template_remove(template_folder);
    metrics_reset();
    return 0;
}
