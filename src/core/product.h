// SPDX-License-Identifier: Apache-2.0
/*
 * product.h - a plan in one partner's catalogue.
 */
#ifndef CORE_PRODUCT_H
#define CORE_PRODUCT_H

#include "base/base.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/money.h"
#include "base/str.h"

enum sim_type { SIM_TYPE_NONE = 0, SIM_ESIM = 1, SIM_PSIM = 2 }; // bits: a product may be for both
extern const char *const sim_type_words[];                       // {"ESIM", "PSIM", NULL}
const char *sim_type_name(enum sim_type t);                      // "ESIM", "PSIM"; "" for SIM_TYPE_NONE

enum duration_unit { DURATION_DAYS, DURATION_MONTHS };
enum data_unit { DATA_MB, DATA_GB }; // binary: 1 MB = 1048576 bytes, 1 GB = 1073741824
extern const char *const duration_unit_words[];
extern const char *const data_unit_words[];

#define PLAN_DURATION_MAX 3660
#define PLAN_DATA_MAX 1048576

struct product {
    int64_t id; // row key, never seen outside
    int64_t partner_id;
    char public_id[LONG_ID_TEXT]; // unique within the partner
    struct str name;
    unsigned sim_types; // enum sim_type bits
    int64_t duration;   // 1..PLAN_DURATION_MAX
    enum duration_unit duration_unit;
    int64_t data; // 1..PLAN_DATA_MAX
    enum data_unit data_unit;
    struct money price;
    struct str footprint_code;
    bool first_usage; // PENDING_USAGE until the first byte; the duration counts from then
    bool on_sale;
};

int64_t product_bytes(const struct product *p);
// When a subscription that starts at `from` ends by the plan's duration.
struct wall product_end(const struct product *p, struct wall from);
// The same for a duration that was copied from a product.
struct wall plan_end(int64_t duration, enum duration_unit unit, struct wall from);

#endif
