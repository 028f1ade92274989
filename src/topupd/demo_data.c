// SPDX-License-Identifier: Apache-2.0
// The data a demo starts with: a live partner and a sandbox partner, a catalogue that shows every kind of plan, pSIMs in and out of
// service, eSIM profiles in stock.
#include <stdio.h>
#include <string.h>

#include "core/codes.h"
#include "life/sandbox.h"
#include "store/store_partner.h"
#include "store/store_product.h"
#include "store/store_sim.h"
#include "topupd/demo.h"

#define BOTH (SIM_ESIM | SIM_PSIM)

static const struct demo_product {
    const char *public_id; // NULL: made from the name
    const char *name;
    unsigned sim_types;
    int64_t duration;
    enum duration_unit duration_unit;
    int64_t data;
    enum data_unit data_unit;
    const char *price, *currency, *footprint;
    bool first_usage;
} products[] = {
    {"kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak=", "Traveller 30", BOTH, 30, DURATION_DAYS, 5, DATA_GB, "20", "EUR", "EUROPE", false},
    {"wp-_bXkuC26SFDSRMHyiAQK7LJ6MtiWyr3zLfwB7FM=", "Plan name", SIM_ESIM, 90, DURATION_DAYS, 50, DATA_MB, "20", "EUR", "GLOBAL", false},
    {NULL, "Day pass", BOTH, 1, DURATION_DAYS, 500, DATA_MB, "2.50", "EUR", "EUROPE", false},
    {NULL, "Week pass", BOTH, 7, DURATION_DAYS, 1, DATA_GB, "7.90", "EUR", "EUROPE", false},
    {NULL, "Monthly", BOTH, 1, DURATION_MONTHS, 10, DATA_GB, "24.99", "EUR", "EUROPE", false},
    {NULL, "Quarterly", BOTH, 3, DURATION_MONTHS, 25, DATA_GB, "59", "GBP", "UK", false},
    {NULL, "Arrive and use", BOTH, 30, DURATION_DAYS, 3, DATA_GB, "18", "USD", "GLOBAL", true},
    {NULL, "America 15", SIM_ESIM, 15, DURATION_DAYS, 4, DATA_GB, "15.50", "USD", "USA", false},
    {NULL, "Asia weekend", SIM_ESIM, 3, DURATION_DAYS, 2, DATA_GB, "900", "JPY", "APAC", true},
    {NULL, "Gulf month", BOTH, 1, DURATION_MONTHS, 6, DATA_GB, "5.250", "KWD", "GCC", false},
    {NULL, "Meter", SIM_PSIM, 12, DURATION_MONTHS, 100, DATA_MB, "6", "EUR", "GLOBAL", false},
};

#define DEMO_PSIMS 20
#define DEMO_PROFILES 500
#define DEMO_SMDP "smdp.example.net"

static enum err_kind put_products(struct tx *tx, int64_t partner_id, struct err *err) {
    for (size_t i = 0; i < ARRAY_LEN(products); i++) {
        const struct demo_product *d = &products[i];
        struct product p = {.partner_id = partner_id,
                            .name = str_of(d->name),
                            .sim_types = d->sim_types,
                            .duration = d->duration,
                            .duration_unit = d->duration_unit,
                            .data = d->data,
                            .data_unit = d->data_unit,
                            .footprint_code = str_of(d->footprint),
                            .first_usage = d->first_usage,
                            .on_sale = true};
        if (d->public_id) {
            CHECK(str_to_buf(str_of(d->public_id), p.public_id, sizeof p.public_id));
        } else {
            uint8_t hash[32];
            sha256_of(str_of(d->name), hash);
            base64url_encode(hash, sizeof hash, true, p.public_id);
        }
        memcpy(p.price.currency, d->currency, sizeof p.price.currency);
        CHECK(money_parse(str_of(d->price), currency_decimals(str_of(d->currency)), &p.price.minor) == MONEY_OK);
        enum upsert what;
        enum err_kind kind = store_product_put(tx, &p, &what, err);
        if (kind)
            return kind;
    }
    return ERR_NONE;
}

// `prefix` holds the first 18 digits as a number; the 19th is the check digit.
static iccid_t iccid_from(int64_t prefix) {
    char text[ICCID_TEXT];
    snprintf(text, sizeof text, "%018lld", (long long)prefix);
    text[18] = luhn_digit(str_of(text));
    text[19] = 0;
    iccid_t iccid;
    CHECK(iccid_parse(str_of(text), &iccid) == ICCID_OK);
    return iccid;
}

static enum err_kind put_sim(struct tx *tx, int64_t partner_id, int64_t prefix, enum sim_type type, bool active, struct err *err) {
    char imsi[16], msisdn[16], matching_id[32];
    int64_t serial = prefix % 10000000;
    snprintf(imsi, sizeof imsi, "90170%010lld", (long long)serial + (type == SIM_ESIM ? 5000000000 : 0));
    snprintf(msisdn, sizeof msisdn, "88299%08lld", (long long)serial + (type == SIM_ESIM ? 50000000 : 0));
    struct sim s = {.iccid = iccid_from(prefix),
                    .partner_id = partner_id,
                    .type = type,
                    .service = active ? SIM_ACTIVE : SIM_STOCK,
                    .imsi = str_of(imsi),
                    .msisdn = str_of(msisdn),
                    .activated = active ? tx_now(tx) : WALL_NONE,
                    .modified = tx_now(tx)};
    if (type == SIM_ESIM) {
        uint8_t hash[32];
        sha256_of(str_of(imsi), hash);
        snprintf(matching_id, sizeof matching_id, "%02X%02X-%02X%02X%02X-%02X%02X%02X", hash[0], hash[1], hash[2], hash[3], hash[4],
                 hash[5], hash[6], hash[7]);
        s.esim = ESIM_RELEASED;
        s.matching_id = str_of(matching_id);
        s.smdp = STR(DEMO_SMDP);
    }
    return store_sim_insert(tx, &s, err);
}

static enum err_kind put_sims(struct tx *tx, int64_t partner_id, struct err *err) {
    // the documentation's SIM, 8944472600000510740, is in service already
    enum err_kind kind = put_sim(tx, partner_id, INT64_C(894447260000051074), SIM_PSIM, true, err);
    for (int64_t i = 1; !kind && i <= DEMO_PSIMS; i++)
        kind = put_sim(tx, partner_id, INT64_C(894447260000051074) + i, SIM_PSIM, false, err);
    for (int64_t i = 0; !kind && i < DEMO_PROFILES; i++)
        kind = put_sim(tx, 0, INT64_C(894447260000700000) + i, SIM_ESIM, false, err);
    return kind;
}

static enum err_kind put_partner(struct tx *tx, struct partner *p, const char *client_id, const char *name, enum partner_mode mode,
                                 struct err *err) {
    *p = (struct partner){
        .client_id = str_of(client_id), .name = str_of(name), .mode = mode, .currencies = STR(""), .event_days = 90, .created = tx_now(tx)};
    enum err_kind kind = store_partner_insert(tx, p, err);
    return kind ? kind : put_products(tx, p->id, err);
}

static enum err_kind fill(struct tx *tx, void *ctx, struct err *err) {
    struct arena *arena = ctx;
    struct partner p;
    enum err_kind kind = store_partner_by_client(tx, STR(DEMO_CLIENT_ID), arena, &p, err);
    if (kind == ERR_NOT_FOUND) {
        err_clear(err);
        kind = put_partner(tx, &p, DEMO_CLIENT_ID, "Demo partner", PARTNER_LIVE, err);
        if (!kind)
            kind = put_sims(tx, p.id, err);
    }
    if (!kind)
        kind = store_partner_by_client(tx, STR(DEMO_SANDBOX_ID), arena, &p, err);
    if (kind == ERR_NOT_FOUND) {
        err_clear(err);
        kind = put_partner(tx, &p, DEMO_SANDBOX_ID, "Demo partner's sandbox", PARTNER_SANDBOX, err);
        if (!kind)
            kind = sandbox_furnish(tx, arena, &p, err);
    }
    return kind;
}

enum err_kind demo_fill(struct store *s, struct err *err) {
    struct arena arena;
    arena_init(&arena, 1 << 20);
    enum err_kind kind = store_run(s, fill, &arena, err);
    arena_release(&arena);
    return kind;
}
