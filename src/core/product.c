// SPDX-License-Identifier: Apache-2.0
#include "core/product.h"

#include "base/date.h"

const char *const sim_type_words[] = {"ESIM", "PSIM", NULL};
const char *const duration_unit_words[] = {"DAYS", "MONTHS", NULL};
const char *const data_unit_words[] = {"MB", "GB", NULL};

const char *sim_type_name(enum sim_type t) {
    return t == SIM_ESIM ? sim_type_words[0] : t == SIM_PSIM ? sim_type_words[1] : "";
}

int64_t product_bytes(const struct product *p) {
    return p->data * (p->data_unit == DATA_GB ? INT64_C(1073741824) : INT64_C(1048576));
}

struct wall plan_end(int64_t duration, enum duration_unit unit, struct wall from) {
    CHECK(duration >= 0 && duration <= PLAN_DURATION_MAX);
    return unit == DURATION_MONTHS ? date_add_months(from, (int)duration) : date_add_days(from, (int)duration);
}

struct wall product_end(const struct product *p, struct wall from) {
    return plan_end(p->duration, p->duration_unit, from);
}
