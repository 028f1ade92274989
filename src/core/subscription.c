// SPDX-License-Identifier: Apache-2.0
#include "core/subscription.h"

#include "base/date.h"

const char *const subscription_state_words[] = {"PENDING", "PENDING_USAGE", "ACTIVE", "DEPLETED", "EXPIRED", NULL};

enum { STATES = SUB_EXPIRED + 1, CUES = SUB_CUE_EXPIRE + 1 };

// Where a cue leads. NO: the state forbids it. START: its time has come; a first-usage product then waits for the first byte.
enum target { NO, START, TO_ACTIVE, TO_DEPLETED, TO_EXPIRED };

static const enum target moves[STATES][CUES] = {
    // Bought for a later date. Nothing runs, nothing can be used; activation is the date asked for.
    [SUB_PENDING] =
        {
            [SUB_CUE_DATE] = START,
            [SUB_CUE_ACTIVATE] = TO_ACTIVE,
            [SUB_CUE_EXPIRY] = TO_EXPIRED,
            [SUB_CUE_EXPIRE] = TO_EXPIRED,
        },
    // Ready since it was bought or since its date; the clock of the plan stands until the first byte. May wait for ever, unless the order
    // named an expiration.
    [SUB_PENDING_USAGE] =
        {
            [SUB_CUE_ACTIVATE] = TO_ACTIVE,
            [SUB_CUE_FIRST_USAGE] = TO_ACTIVE,
            [SUB_CUE_EXPIRY] = TO_EXPIRED,
            [SUB_CUE_EXPIRE] = TO_EXPIRED,
        },
    // Running: activation and expiry are set, there is allowance left.
    [SUB_ACTIVE] =
        {
            [SUB_CUE_USED_UP] = TO_DEPLETED,
            [SUB_CUE_EXPIRY] = TO_EXPIRED,
            [SUB_CUE_EXPIRE] = TO_EXPIRED,
        },
    // Final. Its expiry stays what it was: the plan's end, which no longer matters.
    [SUB_DEPLETED] = {NO},
    // Final.
    [SUB_EXPIRED] = {NO},
};

static enum target target_of(const struct subscription *s, enum subscription_cue cue) {
    CHECK((size_t)s->state < STATES && (size_t)cue < CUES);
    return moves[s->state][cue];
}

bool subscription_finished(enum subscription_state s) {
    return s == SUB_DEPLETED || s == SUB_EXPIRED;
}

bool subscription_can(const struct subscription *s, enum subscription_cue cue) {
    return target_of(s, cue) != NO;
}

static struct wall earlier(struct wall a, struct wall b) { // WALL_NONE: no bound
    if (!wall_set(a) || !wall_set(b))
        return wall_set(a) ? a : b;
    return a.ms < b.ms ? a : b;
}

static bool has_come(struct wall date, struct wall now) {
    return wall_set(date) && date.ms <= now.ms;
}

static void activate(struct subscription *s, struct wall at) {
    s->state = SUB_ACTIVE;
    s->activation = at;
    s->expiry = earlier(s->wanted_expiry, plan_end(s->duration, s->duration_unit, at));
    s->next_at = s->expiry;
}

static void wait_for_usage(struct subscription *s) {
    s->state = SUB_PENDING_USAGE;
    s->activation = WALL_NONE;
    s->expiry = s->wanted_expiry;
    s->next_at = s->wanted_expiry;
}

static void wait_for_date(struct subscription *s, struct wall date) {
    s->state = SUB_PENDING;
    s->activation = date;
    s->expiry = s->first_usage ? s->wanted_expiry : earlier(s->wanted_expiry, plan_end(s->duration, s->duration_unit, date));
    s->next_at = date;
}

static void finish(struct subscription *s, enum subscription_state state, enum subscription_end end) {
    s->state = state;
    s->end = end;
    s->next_at = WALL_NONE;
}

void subscription_begin(struct subscription *s, struct wall date, struct wall now) {
    s->end = SUB_END_NONE;
    if (wall_set(date) && !date_is_now_or_past(date, now)) {
        wait_for_date(s, date);
    } else if (has_come(s->wanted_expiry, now)) { // its order was done too late
        s->activation = WALL_NONE;
        s->expiry = s->wanted_expiry;
        finish(s, SUB_EXPIRED, SUB_END_EXPIRED);
    } else if (s->first_usage) {
        wait_for_usage(s);
    } else {
        activate(s, now);
    }
}

enum err_kind subscription_move(struct subscription *s, enum subscription_cue cue, struct wall now, struct err *err) {
    enum target target = target_of(s, cue);
    if (target == NO)
        return err_set(err, ERR_CONFLICT, "status: %s forbids it", subscription_state_words[s->state]);

    // A cue that time gives holds only when its time has come; one that would start it, only before its end.
    if (cue == SUB_CUE_DATE && !has_come(s->activation, now))
        return err_set(err, ERR_CONFLICT, "activation_date: has not come yet");
    if (cue == SUB_CUE_EXPIRY && !has_come(s->expiry, now))
        return err_set(err, ERR_CONFLICT, "expiry_date: has not come yet");
    if ((cue == SUB_CUE_ACTIVATE || cue == SUB_CUE_FIRST_USAGE) && has_come(s->wanted_expiry, now))
        return err_set(err, ERR_CONFLICT, "expiry_date: has passed");

    switch (target) {
    case START: // counts from the date asked for, however late we are
        if (s->first_usage)
            wait_for_usage(s);
        else
            activate(s, s->activation);
        break;
    case TO_ACTIVE:
        activate(s, now);
        break;
    case TO_DEPLETED:
        finish(s, SUB_DEPLETED, SUB_END_DEPLETED);
        break;
    case TO_EXPIRED:
        if (cue == SUB_CUE_EXPIRE) {
            if (s->state == SUB_PENDING) // it never ran
                s->activation = WALL_NONE;
            s->expiry = earlier(s->expiry, now);
            if (wall_set(s->activation) && s->expiry.ms < s->activation.ms) // somebody has set the clock back
                s->expiry = s->activation;
        }
        finish(s, SUB_EXPIRED, cue == SUB_CUE_EXPIRE ? SUB_END_EXPIRED_BY_CALL : SUB_END_EXPIRED);
        break;
    case NO:
        break;
    }
    return ERR_NONE;
}

int64_t subscription_take(struct subscription *s, int64_t bytes, struct wall end) {
    int64_t left = s->initial_bytes - s->spent_bytes, taken = bytes < left ? bytes : left;
    if (taken <= 0)
        return 0;
    s->spent_bytes += taken;
    if (!wall_set(s->balance_as_of) || s->balance_as_of.ms < end.ms)
        s->balance_as_of = end;
    return taken;
}

bool subscription_crossed(const struct subscription *s, int64_t before, int percent) {
    // the first byte count that is `percent` of the allowance or more; no allowance is so large that this overflows
    int64_t at = s->initial_bytes / 100 * percent + (s->initial_bytes % 100 * percent + 99) / 100;
    return before < at && s->spent_bytes >= at;
}
