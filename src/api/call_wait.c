// SPDX-License-Identifier: Apache-2.0
/*
 * call_wait.c - calls that read and may wait until there is something to read: `?wait=` and `Prefer: wait=` (RFC 7240, section 4.3).
 */
#include "api/call.h"
#include "api/resource.h"
#include "api/state.h"

// The seconds of the first well-formed wait preference; -1 when there is none. Preferences that nobody understands are ignored.
static int64_t preferred_wait(struct str prefer) {
    struct str one, name, value;
    while (str_present(prefer)) {
        prefer = str_cut(prefer, ',', &one);
        str_cut(one, ';', &one);
        value = str_trim(str_cut(one, '=', &name));
        if (!str_eq_nocase(str_trim(name), STR("wait")))
            continue;
        if (value.n > 1 && value.p[0] == '"' && value.p[value.n - 1] == '"')
            value = (struct str){value.p + 1, value.n - 2};
        uint64_t seconds;
        if (str_to_u64(value, &seconds))
            return seconds < CALL_WAIT_MAX_S ? (int64_t)seconds : CALL_WAIT_MAX_S;
    }
    return -1;
}

enum err_kind call_may_wait(struct call *c, struct uuid order_id, uint64_t types, struct err *err) {
    int64_t seconds = query_i64(c, "wait", 0, CALL_WAIT_MAX_S, -1, err);
    int64_t preferred = seconds < 0 ? preferred_wait(http_header(c->x, "Prefer")) : -1;
    if (err->kind || (seconds <= 0 && preferred <= 0))
        return err->kind;
    struct call_waiting *w = c->waiting = arena_new(c->arena, struct call_waiting);
    if (!w)
        return call_no_memory(err);
    w->seconds = seconds > 0 ? (int)seconds : 0;
    w->preferred = preferred > 0 ? (int)preferred : 0;
    w->until.ns = clock_mono(c->api->o.clock).ns + (int64_t)(w->seconds + w->preferred) * 1000000000;
    w->wait = (struct wait){.x = c->x, .partner_id = c->partner.id, .order_id = order_id, .types = types};
    return ERR_NONE;
}

void call_not_yet(struct call *c) {
    if (c->waiting)
        c->waiting->not_yet = true;
}

int call_wait_seconds(const struct call *c) {
    return c->waiting ? c->waiting->seconds : 0;
}

bool call_read(struct call *c, enum err_kind (*read)(struct call *c)) {
    struct call_waiting *w = c->waiting;
    if (!w) {
        c->failed = read(c);
        return true;
    }
    struct waits *waits = c->api->waits;
    struct mono now = clock_mono(c->api->o.clock);
    if (w->since.ns) {
        w->asleep_ns += now.ns - w->since.ns;
        w->since.ns = 0;
    }
    for (;;) {
        wait_expect(waits, &w->wait);
        w->not_yet = false;
        c->failed = read(c);
        if (c->failed || !w->not_yet || now.ns >= w->until.ns) {
            wait_forget(waits, &w->wait);
            return true;
        }
        w->since = now = clock_mono(c->api->o.clock);
        switch (wait_sleep(waits, &w->wait, w->until)) {
        case WAIT_SLEEPS:
            return false;
        case WAIT_CAME:
            w->since.ns = 0;
            break;
        case WAIT_NO:
            return true;
        }
    }
}
