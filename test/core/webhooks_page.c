// SPDX-License-Identifier: Apache-2.0
// Writes docs/webhooks.md. The schedule, its bounds, the types of events and the states come from the tables in core/; what is said about
// them stands here, beside the figures.
#include <stdio.h>

#include "core/webhook.h"

static void duration(int64_t seconds, char *out, size_t size) {
    if (seconds % 86400 == 0 && seconds >= 2 * 86400)
        snprintf(out, size, "%lld days", (long long)(seconds / 86400));
    else if (seconds % 3600 == 0)
        snprintf(out, size, "%lld h", (long long)(seconds / 3600));
    else if (seconds % 60 == 0)
        snprintf(out, size, "%lld min", (long long)(seconds / 60));
    else
        snprintf(out, size, "%lld s", (long long)seconds);
}

static void since(int64_t seconds, char *out, size_t size) {
    if (seconds < 60)
        snprintf(out, size, "%lld s", (long long)seconds);
    else if (seconds < 3600)
        snprintf(out, size, "%lld min %lld s", (long long)(seconds / 60), (long long)(seconds % 60));
    else
        snprintf(out, size, "%lld h %lld min", (long long)(seconds / 3600), (long long)(seconds / 60 % 60));
}

static void schedule(void) {
    int64_t total = 0;
    printf("| attempt | after the one before | since the first |\n|---|---|---|\n| 1 | at once | |\n");
    for (int i = 0; i < RETRY_ATTEMPTS_MAX - 1; i++) {
        char wait[32], all[32];
        total += retry_delays[i];
        duration(retry_delays[i], wait, sizeof wait);
        since(total, all, sizeof all);
        printf("| %d | %s | %s |\n", i + 2, wait, all);
    }
}

static void types(void) {
    printf("| type | |\n|---|---|\n");
    for (int t = 1; t < EVENT_TYPES_MAX; t++) {
        const char *name = event_type_name((enum event_type)t);
        if (!name)
            continue;
        const char *what = t == EVENT_WEBHOOK_TEST                    ? "on request, to one endpoint; not in the log"
                           : t == EVENT_WEBHOOK_DISABLED              ? "an endpoint was disabled: it failed too long, or is gone"
                           : notification_of((enum event_type)t) >= 0 ? "also a notification of its SIM's own"
                                                                      : "";
        printf("| `%s` |%s%s |\n", name, what[0] ? " " : "", what);
    }
}

int main(void) {
    char timeout[32], failing[32], retry_after[32];
    duration(WEBHOOK_TIMEOUT_SECONDS, timeout, sizeof timeout);
    duration(WEBHOOK_FAILING_MAX_SECONDS, failing, sizeof failing);
    duration(RETRY_AFTER_SECONDS_MAX, retry_after, sizeof retry_after);

    printf("# Webhooks\n"
           "\n"
           "For partners: being told what happens instead of asking. Made from the tables in `src/core/` by `test/core/webhooks_page.c`; a "
           "test holds the two together\n"
           "(`ninja -C build webhooks-page` writes it anew). The calls are in `api/openapi.yaml`.\n"
           "\n"
           "## An endpoint\n"
           "\n"
           "    topup webhook add https://hooks.example.com/connect --types 'order.*,subscription.threshold'\n"
           "    topup webhook test <id>             # sends webhook.test and shows what came back\n"
           "    topup webhook deliveries <id>       # every attempt, with what came back\n"
           "\n"
           "or `POST /v2/webhooks`. It gets what happens from then on; `POST /v2/webhooks/{id}/replay` takes it back to an earlier event. "
           "The answer shows the secret, once. A partner has\n"
           "at most %d endpoints. The URL is http or https, without credentials; names and addresses of private networks are refused, when "
           "the endpoint is made and at each delivery,\n"
           "unless the operator has set `webhook_private_targets = 1`.\n"
           "\n"
           "Types: names from the table below, `order.*` for all that begin so, `*` for all.\n"
           "\n",
           WEBHOOKS_PER_PARTNER_MAX);
    types();
    printf("\n"
           "## A delivery\n"
           "\n"
           "`POST` with the event as `GET /v2/events` shows it, and three headers (Standard Webhooks 1.0.0):\n"
           "\n"
           "| header | |\n"
           "|---|---|\n"
           "| `webhook-id` | the event's id, the same at every attempt: what you have seen before, leave aside |\n"
           "| `webhook-timestamp` | seconds since 1970, of this attempt |\n"
           "| `webhook-signature` | `v1,` and the base64 of HMAC-SHA-256 over `id.timestamp.body`, by the secret's bytes; several with "
           "blanks between them while a secret is rotated |\n"
           "\n"
           "Any library of Standard Webhooks verifies it, with the secret as it was shown (`whsec_...`):\n"
           "\n"
           "    const { Webhook } = require('standardwebhooks');\n"
           "    const event = new Webhook(secret).verify(body, headers);   // the body as it came, byte for byte\n"
           "\n"
           "Events come in the order of their `sequence`, one at a time, at least once: an answer that got lost, or a crash on either "
           "side, means that one comes again. Answer 2xx within\n"
           "%s, before you begin to work on it. Redirects are not followed. Of the answer the first %d bytes are kept in the log.\n"
           "\n"
           "## When it fails\n"
           "\n"
           "An attempt without a 2xx answer is repeated:\n"
           "\n",
           timeout, DELIVERY_ANSWER_MAX);
    schedule();
    printf("\n"
           "Each wait is up to %d %% longer or shorter, by chance. A `Retry-After` in the answer is obeyed when it asks for longer, up to "
           "%s. The events behind it wait; other endpoints do\n"
           "not. After the %dth attempt the event is given up (`GIVEN_UP` in the log) and the next one has its turn; `redeliver` and "
           "`replay` bring it back.\n"
           "\n"
           "An endpoint that answers `410 Gone` is disabled at once; so is one that has failed for %s without a single success. That is an "
           "event, `webhook.disabled`, for your other\n"
           "endpoints and for `GET /v2/events`. Nothing is skipped meanwhile: enabled again (`topup webhook set <id> --enable`) it goes on "
           "where it stopped, as far as the events are kept.\n"
           "\n"
           "| state | |\n"
           "|---|---|\n"
           "| `%s` | its events are delivered |\n"
           "| `%s` | by you |\n"
           "| `%s` | it failed for %s |\n"
           "| `%s` | it answered 410 |\n",
           RETRY_JITTER_PERCENT, retry_after, RETRY_ATTEMPTS_MAX, failing, webhook_state_words[WEBHOOK_ENABLED],
           webhook_state_words[WEBHOOK_DISABLED], webhook_state_words[WEBHOOK_FAILED], failing, webhook_state_words[WEBHOOK_GONE]);
    printf("\n"
           "## Secrets\n"
           "\n"
           "`topup webhook rotate-secret <id> --overlap 7d`: until the overlap is over, each delivery carries a signature by the new and "
           "one by the old secret, and either verifies.\n"
           "At most %d secrets sign at once. Your own may be given: `whsec_` and the base64 of %d to %d bytes.\n"
           "\n"
           "## Notifications of one SIM\n"
           "\n"
           "`PUT /v2/sims/{iccid}/preferences/notifications/{type}` sets an address for one SIM and type. They are delivered by the same "
           "rules, in order for each SIM and type, but not\n"
           "signed; Basic credentials in the URL are sent as such. A changed address counts for what still waits, a removed one drops it; "
           "a 410 drops that notification alone.\n"
           "`USAGE_THRESHOLD` tells of %d %% alone, which is the threshold unless the operator has set others for the partner.\n"
           "\n"
           "## For the operator\n"
           "\n"
           "| | |\n"
           "|---|---|\n"
           "| log | `event=webhook.delivery webhook=<id> sequence=<n> attempt=<n> outcome=... status=...`; `notification.delivery`; "
           "`webhook.disabled`. Never a URL, a secret or a body |\n"
           "| metrics | `topupd_webhook_attempts_total`, `topupd_webhook_seconds`, `topupd_webhook_lag_seconds`, "
           "`topupd_webhook_events_waiting`, `topupd_webhook_in_flight`, `topupd_webhooks` |\n"
           "| settings | `webhook_private_targets`, `webhook_ca_file`, `webhook_calls_max`, `webhook_log_days`; `webhook_retry_scale_ppm` "
           "makes the schedule short for tests |\n"
           "\n"
           "Endpoints that fail never take more than half of `webhook_calls_max`, so those that live have room. After a crash it goes on "
           "behind the last delivery that was written down.\n",
           WEBHOOK_SECRETS_MAX, WEBHOOK_SECRET_MIN, WEBHOOK_SECRET_MAX, NOTIFICATION_THRESHOLD);
    return 0;
}
