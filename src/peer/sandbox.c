// SPDX-License-Identifier: Apache-2.0
#include "peer/sandbox.h"

#include <stdio.h>
#include <stdlib.h>

#define CALLS_AT_ONCE 1024

struct answer {
    int64_t call;
    int64_t due_ns;
    struct peer_outcome outcome;
};

struct sandbox {
    struct peer p;
    const struct clock *clock;
    struct answer answers[CALLS_AT_ONCE]; // on their way, in the order asked
    size_t n;
};

// The step of a plan in which the behaviour shows.
static bool reaches_network(enum task_kind kind) {
    return kind == TASK_NETWORK_ENABLE || kind == TASK_ALLOWANCE_ADD;
}

// What becomes of a call, and after how long. Nobody but the first START meets a fault: what is asked again has been tried before.
static void judge(const struct peer_request *r, struct peer_outcome *out, int64_t *delay_ms) {
    enum sandbox_behaviour b = reaches_network(r->kind) ? r->behaviour : SANDBOX_AS_USUAL;
    *out = (struct peer_outcome){.kind = OUTCOME_DONE};
    *delay_ms = 0;
    if (r->verb == TASK_CANCEL)
        return;
    const char *note = NULL;
    bool probe = r->verb == TASK_PROBE, first = r->attempt <= 1;
    switch (b) {
    case SANDBOX_REFUSED:
        out->kind = probe ? OUTCOME_NOT_DONE : OUTCOME_REFUSED;
        note = probe ? NULL : "refused, as asked of the sandbox";
        break;
    case SANDBOX_SLOW:
        *delay_ms = probe ? 0 : SANDBOX_SLOW_MS;
        break;
    case SANDBOX_UNSURE_DONE:
    case SANDBOX_UNSURE_NOT_DONE:
        if (probe) {
            out->kind = b == SANDBOX_UNSURE_DONE ? OUTCOME_DONE : OUTCOME_NOT_DONE;
        } else if (first) {
            out->kind = OUTCOME_UNSURE;
            *delay_ms = SANDBOX_UNSURE_MS;
            note =
                b == SANDBOX_UNSURE_DONE ? "the answer got lost, as asked of the sandbox" : "the request got lost, as asked of the sandbox";
        }
        break;
    case SANDBOX_AS_USUAL:
    case SANDBOX_NO_PROFILE:
    case SANDBOX_BEHAVIOURS:
        break;
    }
    if (note)
        snprintf(out->note, sizeof(out->note), "%s", note);
}

static void sandbox_call(struct peer *p, const struct peer_request *r) {
    struct sandbox *s = CONTAINER_OF(p, struct sandbox, p);
    struct peer_outcome o;
    int64_t delay_ms;
    judge(r, &o, &delay_ms);
    if (delay_ms > 0 && s->n < CALLS_AT_ONCE)
        s->answers[s->n++] = (struct answer){r->call, clock_mono(s->clock).ns + delay_ms * 1000000, o};
    else
        p->done(p->ctx, r->call, &o);
}

static int64_t sandbox_tick(struct peer *p, struct mono now) {
    struct sandbox *s = CONTAINER_OF(p, struct sandbox, p);
    int64_t next = INT64_MAX;
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->answers[i].due_ns <= now.ns) {
            p->done(p->ctx, s->answers[i].call, &s->answers[i].outcome);
            continue;
        }
        if (s->answers[i].due_ns < next)
            next = s->answers[i].due_ns;
        s->answers[kept++] = s->answers[i];
    }
    s->n = kept;
    return next;
}

static void sandbox_close(struct peer *p) {
    free((void *)(uintptr_t)p->name); // ours, const for everybody else
    free(CONTAINER_OF(p, struct sandbox, p));
}

static const struct peer_ops sandbox_ops = {
    .type = "sandbox",
    .call = sandbox_call,
    .tick = sandbox_tick,
    .close = sandbox_close,
};

struct peer *peer_sandbox_open(const char *name, const struct clock *clock) {
    struct sandbox *s = xcalloc(1, sizeof(*s));
    s->p = (struct peer){.ops = &sandbox_ops, .name = xstrdup(name), .calls_max = CALLS_AT_ONCE};
    s->clock = clock;
    return &s->p;
}
