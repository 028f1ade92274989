// SPDX-License-Identifier: Apache-2.0
// Writes docs/state-machines.md from the tables in core/ by asking their functions, so that the page cannot say anything else than they do.
#include <stdio.h>
#include <string.h>

#include "core/order.h"
#include "core/sim.h"
#include "core/subscription.h"
#include "core/task.h"

static const char intro[] =
    "# State machines\n"
    "\n"
    "Made from the tables in `src/core/` by `test/core/state_machines.c`; a test holds the two together. After a change of a table:\n"
    "\n"
    "    ninja -C build state-machines\n"
    "\n"
    "What is true in each state stands at the top of the headers named below.\n";

static void heading(const char *title, const char *header) {
    printf("\n## %s\n\n`src/core/%s`\n\n", title, header);
}

// A relation from state to state as a diagram; states that nothing leaves are final.
static void diagram(const char *const *words, int first, bool (*may)(int from, int to)) {
    printf("```mermaid\nstateDiagram-v2\n");
    for (int from = first; words[from]; from++) {
        bool leaves = false;
        for (int to = first; words[to]; to++) {
            if (!may(from, to))
                continue;
            leaves = true;
            printf("    %s --> %s\n", words[from], words[to]);
        }
        if (!leaves)
            printf("    %s --> [*]\n", words[from]);
    }
    printf("```\n");
}

static bool order_relation(int from, int to) {
    return order_may((enum order_state)from, (enum order_state)to);
}
static bool service_relation(int from, int to) {
    return sim_service_may((enum sim_service)from, (enum sim_service)to);
}
static bool esim_relation(int from, int to) {
    return esim_may((enum esim_status)from, (enum esim_status)to);
}

static void subscriptions(void) {
    static const struct {
        enum subscription_cue cue;
        const char *words;
    } cues[] = {
        {SUB_CUE_DATE, "activation date"}, {SUB_CUE_ACTIVATE, "`activate`"}, {SUB_CUE_FIRST_USAGE, "first byte"},
        {SUB_CUE_USED_UP, "used up"},      {SUB_CUE_EXPIRY, "expiry date"},  {SUB_CUE_EXPIRE, "`expire`"},
    };
    // Both dates have come, the wanted expiry has not: only the state decides.
    const struct wall now = {INT64_C(1773144000000)};
    printf("| state |");
    for (size_t c = 0; c < ARRAY_LEN(cues); c++)
        printf(" %s |", cues[c].words);
    printf("\n|---|");
    for (size_t c = 0; c < ARRAY_LEN(cues); c++)
        printf("---|");
    printf("\n");
    for (int from = SUB_PENDING; subscription_state_words[from]; from++) {
        printf("| `%s` |", subscription_state_words[from]);
        for (size_t c = 0; c < ARRAY_LEN(cues); c++) {
            const char *to[2] = {NULL, NULL}; // an ordinary product, a first-usage product
            for (int first_usage = 0; first_usage <= 1; first_usage++) {
                struct err err = {0};
                struct subscription s = {.state = (enum subscription_state)from,
                                         .activation = now,
                                         .expiry = now,
                                         .wanted_expiry = WALL_NONE,
                                         .duration = 1,
                                         .first_usage = first_usage};
                if (subscription_move(&s, cues[c].cue, now, &err) == ERR_NONE)
                    to[first_usage] = subscription_state_words[s.state];
            }
            if (!to[0])
                printf(" |");
            else if (strcmp(to[0], to[1]) == 0)
                printf(" `%s` |", to[0]);
            else
                printf(" `%s`, first-usage product: `%s` |", to[0], to[1]);
        }
        printf("\n");
    }
}

static void plans(void) {
    for (int op = OP_ACTIVATION; operation_words[op]; op++) {
        for (int type = SIM_ESIM; type <= SIM_PSIM; type++) {
            struct order o = {.operation = (enum operation)op, .sim_type = (enum sim_type)type};
            enum task_kind steps[PLAN_MAX];
            int n = order_plan(&o, steps);
            printf("- `%s` of `%s`:", operation_words[op], sim_type_name(o.sim_type));
            for (int i = 0; i < n; i++)
                printf("%s `%s`", i ? "," : "", task_kind_words[steps[i]]);
            printf("\n");
        }
    }
}

static void tasks(void) {
    const struct wall now = {0};
    printf("| call |");
    for (int o = 0; outcome_words[o]; o++)
        printf(" %s |", outcome_words[o]);
    printf("\n|---|");
    for (int o = 0; outcome_words[o]; o++)
        printf("---|");
    printf("\n");
    for (int verb = TASK_START; task_verb_words[verb]; verb++) {
        printf("| `%s` |", task_verb_words[verb]);
        for (int o = 0; outcome_words[o]; o++) {
            struct task t = {.state = TASK_CLAIMED, .verb = (enum task_verb)verb, .attempts = 1};
            task_settle(&t, (enum outcome_kind)o, now, 0);
            if (t.state == TASK_READY)
                printf(" `%s` %s |", task_verb_words[t.verb], t.due_at.ms > now.ms ? "later" : "at once");
            else
                printf(" **%s** |", task_state_words[t.state]);
        }
        printf("\n");
    }
    printf("\nInstead of a call more than %d the task is **%s**. A lease that runs out counts as `UNSURE`. Delays before the next call, "
           "give or take a "
           "quarter:",
           TASK_ATTEMPTS_MAX, task_state_words[TASK_PARKED]);
    for (int i = 1; i < TASK_ATTEMPTS_MAX; i++)
        printf("%s %lld s", i > 1 ? "," : "", (long long)(task_backoff_ms(i, 0) / 3 * 4 / 1000)); // `random` 0 is a quarter less
    printf(".\n");
}

int main(void) {
    fputs(intro, stdout);
    heading("Order", "order.h");
    diagram(order_state_words, 0, order_relation);
    heading("SIM: service", "sim.h");
    diagram(sim_service_words, 0, service_relation);
    heading("SIM: eSIM profile", "sim.h");
    diagram(esim_status_words, ESIM_RELEASED, esim_relation);
    heading("Subscription", "subscription.h");
    printf("Where each cue leads; an empty field is a 409 for a call and nothing at all for time and usage.\n\n");
    subscriptions();
    heading("Plan: the tasks of an order", "task.h");
    plans();
    heading("Task: what a call's outcome makes of it", "task.h");
    tasks();
    return 0;
}
