// SPDX-License-Identifier: Apache-2.0
#include "api/order_parse.h"

#include "core/iccid.h"

static void take_country(json_t *body, struct order *out, struct err *err) {
    struct str country = json_take_str(body, "", "country", JSON_OPTIONAL, 64, err);
    if (country.n > 0 && !str_to_buf(country, out->country, sizeof out->country))
        err_add(err, ERR_INVALID, "country: must be a country code of ISO 3166-1 (two capital letters)");
}

static void take_product(json_t *body, struct arena *a, struct order *out, struct err *err) {
    static const char path[] = "product.";
    json_t *product = json_take_object(body, "", "product", JSON_OPTIONAL, err);
    if (!product)
        return;
    struct str id = json_take_str(product, path, "id", JSON_OPTIONAL, 256, err);
    if (id.n > 0 && !str_to_buf(id, out->product_public_id, sizeof out->product_public_id))
        err_add(err, ERR_INVALID, "product.id: must be 43 or 44 characters of URL-safe base64 that end in \"=\"");
    struct str price = json_take_decimal(product, path, "sold_price", JSON_OPTIONAL, a, err);
    struct str currency = json_take_str(product, path, "sold_currency", JSON_OPTIONAL, 64, err);
    order_take_price(price, currency, &out->sold, err);
    out->activation = json_take_date(product, path, "activation_date", JSON_OPTIONAL, err);
    out->expiration = json_take_date(product, path, "expiration_date", JSON_OPTIONAL, err);
}

static void take_device(json_t *subscriber, struct subscriber *out, struct err *err) {
    static const char path[] = "subscriber.device.";
    json_t *device = json_take_object(subscriber, "subscriber.", "device", JSON_OPTIONAL, err);
    if (!device)
        return;
    out->device_os = json_take_str(device, path, "operating_system", JSON_OPTIONAL, 64, err);
    out->device_model = json_take_str(device, path, "model", JSON_OPTIONAL, DEVICE_MAX_BYTES, err);
    out->device_id = json_take_str(device, path, "id", JSON_OPTIONAL, DEVICE_MAX_BYTES, err);
    out->device_eid = json_take_str(device, path, "eid", JSON_OPTIONAL, 64, err);
}

// Text, or a bare JSON number: some clients keep ICCIDs as numbers, and jansson keeps those of 19 digits exact.
static void take_iccid(json_t *sim, struct arena *a, struct order *out, struct err *err) {
    json_t *value = json_object_get(sim, "iccid");
    struct str digits = json_is_integer(value) ? arena_printf(a, "%lld", (long long)json_integer_value(value))
                                               : json_take_str(sim, "subscriber.sim.", "iccid", JSON_OPTIONAL, 64, err);
    if (digits.n == 0)
        return;
    enum iccid_fault fault = iccid_parse(digits, &out->iccid);
    if (fault != ICCID_OK) {
        err_add(err, ERR_INVALID, "subscriber.sim.iccid: %s", iccid_fault_text(fault));
        out->iccid = ICCID_NONE;
    }
}

static void take_subscriber(json_t *body, struct arena *a, struct order *out, struct err *err) {
    static const char path[] = "subscriber.";
    json_t *subscriber = json_take_object(body, "", "subscriber", JSON_OPTIONAL, err);
    if (!subscriber)
        return;
    struct subscriber *s = &out->subscriber;
    s->email = json_take_str(subscriber, path, "email", JSON_OPTIONAL, EMAIL_MAX_BYTES, err);
    s->first_name = json_take_str(subscriber, path, "first_name", JSON_OPTIONAL, PERSON_NAME_MAX_BYTES, err);
    s->last_name = json_take_str(subscriber, path, "last_name", JSON_OPTIONAL, PERSON_NAME_MAX_BYTES, err);
    s->country_of_residence = json_take_str(subscriber, path, "country_of_residence", JSON_OPTIONAL, 64, err);
    s->language = json_take_str(subscriber, path, "language", JSON_OPTIONAL, 64, err);
    take_device(subscriber, s, err);
    json_t *sim = json_take_object(subscriber, path, "sim", JSON_OPTIONAL, err);
    if (sim)
        take_iccid(sim, a, out, err);
}

enum err_kind order_parse(json_t *body, struct arena *a, struct order *out, struct err *err) {
    *out = (struct order){.state = ORDER_ACCEPTED,
                          .iccid = ICCID_NONE,
                          .activation = WALL_NONE,
                          .expiration = WALL_NONE,
                          .created = WALL_NONE,
                          .finished = WALL_NONE};
    // Whether a field is required is for order_rules to say: everything is optional here, so that nothing is reported twice.
    out->operation = (enum operation)json_take_word(body, "", "operation_type", JSON_OPTIONAL, operation_words, err);
    int type = json_take_word(body, "", "sim_type", JSON_OPTIONAL, sim_type_words, err);
    out->sim_type = type < 0 ? SIM_TYPE_NONE : (enum sim_type)(1 << type); // the words stand in the order of the bits
    take_country(body, out, err);
    take_product(body, a, out, err);
    take_subscriber(body, a, out, err);
    out->reference = json_take_str(body, "", "reference", JSON_OPTIONAL, REFERENCE_MAX, err);
    if (out->reference.n == 0)
        out->reference = STR_NONE;
    if (arena_failed(a))
        return err_set(err, ERR_INTERNAL, "the request needs more memory than a request may have");
    return err->kind;
}
