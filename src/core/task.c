// SPDX-License-Identifier: Apache-2.0
#include "core/task.h"

const char *const task_kind_words[] = {"PROFILE_RESERVE", "NETWORK_ENABLE", "PROFILE_RELEASE", "ALLOWANCE_ADD", NULL};
const char *const task_state_words[] = {"BLOCKED", "READY", "CLAIMED", "PARKED", "DONE", "REFUSED", "UNDONE", NULL};
const char *const task_verb_words[] = {"START", "PROBE", "CANCEL", NULL};
const char *const outcome_words[] = {"DONE", "NOT_DONE", "REFUSED", "UNAVAILABLE", "UNSURE", NULL};

int order_plan(const struct order *o, enum task_kind out[PLAN_MAX]) {
    int n = 0;
    if (o->operation == OP_TOPUP) {
        out[n++] = TASK_ALLOWANCE_ADD;
    } else if (o->sim_type == SIM_ESIM) {
        // The profile is released last: nobody can install one that the network does not know yet.
        out[n++] = TASK_PROFILE_RESERVE;
        out[n++] = TASK_NETWORK_ENABLE;
        out[n++] = TASK_PROFILE_RELEASE;
    } else {
        out[n++] = TASK_NETWORK_ENABLE;
    }
    return n;
}

int64_t task_backoff_ms(int attempts, uint64_t random) {
    // Quick at first, so that a blip costs a second; twelve attempts span about six hours.
    static const int64_t seconds[] = {1, 5, 25, 125, 625, 3125, 3600};
    size_t i = attempts > 1 ? (size_t)(attempts - 1) : 0;
    int64_t ms = 1000 * seconds[i < ARRAY_LEN(seconds) ? i : ARRAY_LEN(seconds) - 1];
    return ms - ms / 4 + (int64_t)(random % (uint64_t)(ms / 2 + 1));
}

// What a call's outcome makes of its task. AGAIN is READY once more: at once or later.
struct sequel {
    enum { FINAL, AGAIN_NOW, AGAIN_LATER } when;
    enum task_state state;
    enum task_verb verb;
};

// clang-format off
static const struct sequel sequels[3][5] = {
    [TASK_START] = {
        [OUTCOME_DONE]        = {FINAL, TASK_DONE, TASK_START},
        [OUTCOME_NOT_DONE]    = {AGAIN_LATER, TASK_READY, TASK_START}, // a strange answer to START: as if nothing had been sent
        [OUTCOME_REFUSED]     = {FINAL, TASK_REFUSED, TASK_START},
        [OUTCOME_UNAVAILABLE] = {AGAIN_LATER, TASK_READY, TASK_START},
        [OUTCOME_UNSURE]      = {AGAIN_LATER, TASK_READY, TASK_PROBE},
    },
    [TASK_PROBE] = {
        [OUTCOME_DONE]        = {FINAL, TASK_DONE, TASK_PROBE},
        [OUTCOME_NOT_DONE]    = {AGAIN_NOW, TASK_READY, TASK_START},
        [OUTCOME_REFUSED]     = {FINAL, TASK_REFUSED, TASK_PROBE},
        [OUTCOME_UNAVAILABLE] = {AGAIN_LATER, TASK_READY, TASK_PROBE},
        [OUTCOME_UNSURE]      = {AGAIN_LATER, TASK_READY, TASK_PROBE},
    },
    // A cancel that is unsure is sent again, not probed: taking back what is gone already answers NOT_DONE, and that is as good.
    [TASK_CANCEL] = {
        [OUTCOME_DONE]        = {FINAL, TASK_UNDONE, TASK_CANCEL},
        [OUTCOME_NOT_DONE]    = {FINAL, TASK_UNDONE, TASK_CANCEL},
        [OUTCOME_REFUSED]     = {FINAL, TASK_PARKED, TASK_CANCEL},
        [OUTCOME_UNAVAILABLE] = {AGAIN_LATER, TASK_READY, TASK_CANCEL},
        [OUTCOME_UNSURE]      = {AGAIN_LATER, TASK_READY, TASK_CANCEL},
    },
};
// clang-format on

bool task_claim(struct task *t, int64_t owner, struct wall now, struct wall lease_until) {
    CHECK(t->state == TASK_READY || (t->state == TASK_CLAIMED && t->lease_until.ms <= now.ms));
    // The one who held the lease may have sent it, or not.
    if (t->state == TASK_CLAIMED && t->verb == TASK_START)
        t->verb = TASK_PROBE;
    // A call that ends its node every time never comes to be settled, so this is counted here, too.
    if (t->attempts >= TASK_ATTEMPTS_MAX) {
        t->state = TASK_PARKED;
        t->outcome = OUTCOME_UNSURE;
        t->lease_until = WALL_NONE;
        t->lease_owner = 0;
        t->settled = now;
        return false;
    }
    t->state = TASK_CLAIMED;
    t->attempts++;
    t->lease_owner = owner;
    t->lease_until = lease_until;
    if (!wall_set(t->started))
        t->started = now;
    return true;
}

void task_settle(struct task *t, enum outcome_kind outcome, struct wall now, uint64_t random) {
    CHECK(t->state == TASK_CLAIMED && (size_t)t->verb < ARRAY_LEN(sequels) && (size_t)outcome < ARRAY_LEN(sequels[0]));
    struct sequel next = sequels[t->verb][outcome];
    t->outcome = outcome;
    t->verb = next.verb;
    t->state = next.state;
    t->lease_until = WALL_NONE;
    t->lease_owner = 0;
    if (next.when != FINAL && t->attempts >= TASK_ATTEMPTS_MAX)
        t->state = TASK_PARKED; // with the verb it would have gone on with
    if (t->state == TASK_READY)
        t->due_at = next.when == AGAIN_NOW ? now : wall_plus_ms(now, task_backoff_ms(t->attempts, random));
    else
        t->settled = now;
}

void task_undo(struct task *t, struct wall now) {
    CHECK(t->state != TASK_CLAIMED);
    if (t->state == TASK_REFUSED || t->state == TASK_UNDONE)
        return;
    if (t->state != TASK_DONE && t->verb == TASK_START) {
        t->state = TASK_UNDONE;
        t->settled = now;
        return;
    }
    t->state = TASK_READY;
    t->verb = TASK_CANCEL;
    t->attempts = 0;
    t->due_at = now;
    t->settled = WALL_NONE;
}

bool task_finished(enum task_state s) {
    return s == TASK_DONE || s == TASK_REFUSED || s == TASK_UNDONE;
}

// ---- history ----

#define HISTORY_NOTE_MAX 200

void task_attempt_put(struct buf *out, const struct task_attempt *a) {
    buf_printf(out, "%lld\t%s\t%s\t%lld\t" STR_FMT "\t", (long long)a->at.ms, task_verb_words[a->verb], outcome_words[a->outcome],
               wall_set(a->next) ? (long long)a->next.ms : 0, STR_ARG(a->peer));
    // A note is one line of whole characters.
    for (size_t i = 0, n; i < a->note.n; i += n) {
        struct str rest = {a->note.p + i, a->note.n - i};
        n = str_utf8_char(rest);
        if (i + n > HISTORY_NOTE_MAX)
            break;
        if (n == 0 || (n == 1 && ((unsigned char)rest.p[0] < 0x20 || rest.p[0] == 0x7f)))
            buf_add_char(out, n == 0 ? '?' : ' ');
        else
            buf_add(out, rest.p, n);
        n = n ? n : 1;
    }
    buf_add_char(out, '\n');
}

static bool take_word(struct str text, const char *const *words, int *out) {
    for (int i = 0; words[i]; i++) {
        if (str_is(text, words[i])) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool take_line(struct str line, struct task_attempt *out) {
    struct str at, verb, outcome, next, peer;
    line = str_cut(line, '\t', &at);
    line = str_cut(line, '\t', &verb);
    line = str_cut(line, '\t', &outcome);
    line = str_cut(line, '\t', &next);
    line = str_cut(line, '\t', &peer);
    int64_t at_ms, next_ms;
    int v, o;
    if (!str_present(line) || !str_to_i64(at, &at_ms) || !str_to_i64(next, &next_ms) || !take_word(verb, task_verb_words, &v) ||
        !take_word(outcome, outcome_words, &o))
        return false;
    *out = (struct task_attempt){
        .at = {at_ms},
        .verb = (enum task_verb)v,
        .outcome = (enum outcome_kind)o,
        .next = next_ms ? (struct wall){next_ms} : WALL_NONE,
        .peer = peer,
        .note = line,
    };
    return true;
}

bool task_attempt_take(struct str *history, struct task_attempt *out) {
    while (history->n > 0) {
        struct str line;
        *history = str_cut(*history, '\n', &line);
        if (take_line(line, out))
            return true;
    }
    return false;
}
