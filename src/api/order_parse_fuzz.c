// SPDX-License-Identifier: Apache-2.0
// Any bytes as the body of POST /v2/orders: text to fields to rules, and what is taken keeps what the rest of the house relies on.
#include "api/order_parse.h"
#include "base/fuzz.h"

static void check_taken(const struct order *o) {
    CHECK(o->operation == OP_ACTIVATION || o->operation == OP_TOPUP);
    CHECK(o->sim_type == SIM_ESIM || o->sim_type == SIM_PSIM);
    CHECK(strlen(o->country) == 2);
    CHECK(long_id_well_formed(str_of(o->product_public_id)));
    CHECK(o->sold.minor >= 0 && o->sold.minor <= MONEY_MINOR_MAX);
    CHECK(o->sold.currency[0] == '\0' || strlen(o->sold.currency) == 3);
    CHECK(o->reference.n <= REFERENCE_MAX && (o->reference.n == 0 || str_is_utf8(o->reference)));
    CHECK(o->subscriber.email.n <= EMAIL_MAX_BYTES);
    CHECK(o->subscriber.first_name.n <= PERSON_NAME_MAX_BYTES && o->subscriber.last_name.n <= PERSON_NAME_MAX_BYTES);
    CHECK(o->iccid == ICCID_NONE || iccid_packed(o->iccid));
    CHECK(!(o->operation == OP_TOPUP && o->iccid == ICCID_NONE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct partner partner = {.id = 1, .needs = NEED_LAST_NAME | NEED_DEVICE};
    struct err err = {0};
    json_t *body;
    if (json_parse_object((struct str){(const char *)data, size}, &body, &err) != ERR_NONE) {
        CHECK(err.count > 0);
        return 0;
    }
    struct arena a;
    struct order o;
    arena_init(&a, 64 * 1024);
    order_parse(body, &a, &o, &err);
    if (order_rules(&o, &partner, &err) == ERR_NONE)
        check_taken(&o);
    else
        CHECK(err.count > 0 && err_message(&err, 0)[0] != '\0');
    arena_release(&a);
    json_decref(body);
    return 0;
}
