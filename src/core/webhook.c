// SPDX-License-Identifier: Apache-2.0
#include "core/webhook.h"

#define MS 1000
#define MINUTE 60
#define HOUR 3600

// Ten attempts in three days: close together at first, for a restart of the receiver; far apart later, for a long night.
const int64_t retry_delays[RETRY_ATTEMPTS_MAX - 1] = {
    10, 1 * MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR, 27 * HOUR,
};

const char *const webhook_state_words[] = {"ENABLED", "DISABLED", "FAILED", "GONE", NULL};
const char *const delivery_kind_words[] = {"EVENT", "REDELIVERY", "TEST", NULL};
const char *const delivery_outcome_words[] = {"PENDING", "DELIVERED", "FAILED", "GIVEN_UP", "DISABLED", NULL};

static int64_t scaled_ms(int64_t seconds, int64_t scale_ppm) {
    return seconds * MS * scale_ppm / RETRY_SCALE_WHOLE;
}

int64_t retry_delay_ms(int attempts, uint64_t random, int64_t retry_after_s, int64_t scale_ppm) {
    CHECK(attempts >= 1 && attempts < RETRY_ATTEMPTS_MAX);
    int64_t delay = scaled_ms(retry_delays[attempts - 1], scale_ppm);
    int64_t spread = delay * RETRY_JITTER_PERCENT / 100;
    delay += (int64_t)(random % (uint64_t)(2 * spread + 1)) - spread;
    int64_t asked = retry_after_s < RETRY_AFTER_SECONDS_MAX ? retry_after_s : RETRY_AFTER_SECONDS_MAX;
    return delay > asked * MS ? delay : asked * MS;
}

uint64_t webhook_wants(const struct webhook *w) {
    uint64_t types = 0;
    struct str rest = w->types, pattern;
    while (rest.n > 0) {
        rest = str_cut(rest, ' ', &pattern);
        types |= event_types_named(pattern);
    }
    return types;
}

void webhook_secret_format(const void *bytes, size_t n, char out[WEBHOOK_SECRET_TEXT]) {
    CHECK(n <= WEBHOOK_SECRET_MAX);
    memcpy(out, "whsec_", 6);
    base64_encode(bytes, n, out + 6);
}

bool webhook_secret_parse(struct str text, uint8_t out[WEBHOOK_SECRET_MAX], size_t *n) {
    return str_starts(text, "whsec_") && base64_decode((struct str){text.p + 6, text.n - 6}, out, WEBHOOK_SECRET_MAX, n) &&
           *n >= WEBHOOK_SECRET_MIN;
}

static void go_on_behind(struct webhook *w, int64_t sequence) {
    w->cursor = sequence + 1;
    w->attempts = 0;
    w->due = WALL_NONE;
}

enum delivery_outcome webhook_answered(struct webhook *w, int64_t sequence, struct delivery_answer answer, struct wall now, uint64_t random,
                                       int64_t scale_ppm) {
    CHECK(sequence >= w->cursor);
    if (sequence > w->cursor) // what lies between is not for this endpoint
        go_on_behind(w, sequence - 1);
    if (answer.status >= 200 && answer.status <= 299) {
        go_on_behind(w, sequence);
        w->failing_since = WALL_NONE;
        return DELIVERY_DELIVERED;
    }
    if (!wall_set(w->failing_since) || w->failing_since.ms > now.ms) // the clock was set back
        w->failing_since = now;
    w->attempts++;
    if (answer.status == 410) {
        w->state = WEBHOOK_GONE;
        return DELIVERY_DISABLED;
    }
    if (now.ms - w->failing_since.ms >= scaled_ms(WEBHOOK_FAILING_MAX_SECONDS, scale_ppm)) {
        w->state = WEBHOOK_FAILED;
        return DELIVERY_DISABLED;
    }
    if (w->attempts >= RETRY_ATTEMPTS_MAX) {
        go_on_behind(w, sequence);
        return DELIVERY_GIVEN_UP;
    }
    w->due = wall_plus_ms(now, retry_delay_ms(w->attempts, random, answer.retry_after_s, scale_ppm));
    return DELIVERY_FAILED;
}

int notification_of(enum event_type type) {
    switch (type) {
    case EVENT_SUBSCRIPTION_THRESHOLD:
        return NOTIFY_USAGE_THRESHOLD;
    case EVENT_SUBSCRIPTION_DEPLETED:
    case EVENT_SUBSCRIPTION_EXPIRED:
        return NOTIFY_SUBSCRIPTION_END;
    case EVENT_SIM_DOWNLOAD_PROGRESS:
        return NOTIFY_DOWNLOAD_PROGRESS;
    default:
        return -1;
    }
}
