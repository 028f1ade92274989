// SPDX-License-Identifier: Apache-2.0
// Any bytes as an Authorization header (the first line) and a form (the rest): to the token endpoint, then the header alone to the API.
#include "api/api_test_support.h"
#include "api/testing.h"
#include "base/fuzz.h"
#include "base/log.h"

static struct api_test t;

static void close_all(void) {
    api_test_close(&t);
}

static int ask(enum http_method method, const char *target, const char *authorization, struct str body, bool rfc_errors) {
    struct testing_exchange x;
    struct err err = {0};
    json_t *answer;
    testing_exchange_init(&x, method, target, "");
    x.x.body = body;
    testing_exchange_header(&x, "Content-Type", "application/x-www-form-urlencoded");
    testing_exchange_header(&x, "Authorization", authorization);
    CHECK(t.handler.handle(t.handler.ctx, &x.x) == HTTP_REPLY);
    CHECK(json_parse_object(buf_str(&x.x.reply), &answer, &err) == ERR_NONE);
    if (rfc_errors)
        CHECK(json_is_string(json_object_get(answer, x.x.status == 200 ? "access_token" : "error")));
    json_decref(answer);
    t.handler.end(t.handler.ctx, &x.x, true);
    int status = x.x.status;
    testing_exchange_release(&x);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char header[4096];
    if (!t.api) {
        log_threshold = LOG_ERROR;
        api_test_open(&t);
        atexit(close_all);
    }
    struct str line, body = str_cut((struct str){(const char *)data, size}, '\n', &line);
    if (!str_to_buf(line, header, sizeof(header)))
        return 0;
    if (!str_present(body))
        body = STR("");
    int status = ask(HTTP_POST, "/auth/realms/tru-staff/protocol/openid-connect/token", header, body, true);
    CHECK(status == 200 || status == 400 || status == 401);
    CHECK(ask(HTTP_GET, "/v2/products", header, STR(""), false) == 401); // tokens made here are not among the inputs
    return 0;
}
