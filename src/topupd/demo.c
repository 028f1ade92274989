// SPDX-License-Identifier: Apache-2.0
#include "topupd/demo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_partner.h"
#include "topupd/app.h"

// ---- demo.env ----

static bool env_path(char *out, size_t size, const char *dir, const char *name) {
    int n = snprintf(out, size, "%s/%s", dir, name);
    return n > 0 && (size_t)n < size;
}

// The value of NAME=... in the file, if it has the shape of a secret of ours.
static void env_take(FILE *f, const char *name, char out[SECRET_TEXT]) {
    char line[512];
    out[0] = 0;
    rewind(f);
    while (fgets(line, sizeof line, f)) {
        struct str key, value = str_trim(str_cut(str_of(line), '=', &key));
        if (str_is(key, name) && value.n == SECRET_TEXT - 1)
            (void)str_to_buf(value, out, SECRET_TEXT);
    }
    secret_wipe(line, sizeof line);
}

static void env_read(const char *dir, struct demo_credentials *c) {
    *c = (struct demo_credentials){0};
    char path[4096];
    FILE *f = env_path(path, sizeof path, dir, "demo.env") ? fopen(path, "re") : NULL;
    if (!f)
        return;
    env_take(f, "CLIENT_SECRET", c->client_secret);
    env_take(f, "SANDBOX_CLIENT_SECRET", c->sandbox_secret);
    env_take(f, "TOPUP_ADMIN_TOKEN", c->admin_token);
    fclose(f);
}

enum err_kind demo_env_write(const char *dir, const char *base_url, const char *origin, const struct demo_credentials *c, struct err *err) {
    char path[4096], fresh[4096];
    if (!env_path(path, sizeof path, dir, "demo.env") || !env_path(fresh, sizeof fresh, dir, "demo.env.new"))
        return err_set(err, ERR_INVALID, "%s: the name is too long", dir);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool written = fd >= 0 && fchmod(fd, 0600) == 0 &&
                   dprintf(fd,
                           "BASE_URL=%s\nCLIENT_ID=%s\nCLIENT_SECRET=%s\n"
                           "SANDBOX_CLIENT_ID=%s\nSANDBOX_CLIENT_SECRET=%s\n"
                           "TOPUP_SERVER=%s\nTOPUP_ADMIN_TOKEN=%s\n",
                           base_url, DEMO_CLIENT_ID, c->client_secret, DEMO_SANDBOX_ID, c->sandbox_secret, origin, c->admin_token) > 0 &&
                   fsync(fd) == 0;
    int why = errno;
    if (fd >= 0)
        close(fd);
    if (!written || rename(fresh, path) != 0)
        return err_set(err, ERR_UNAVAILABLE, "%s: cannot be written: %s", path, strerror(written ? errno : why));
    return ERR_NONE;
}

// ---- credentials ----

struct taking {
    struct demo_credentials *credentials;
    struct arena arena;
};

static enum err_kind take_client_secret(struct tx *tx, struct taking *t, const char *client_id, char *secret, struct err *err) {
    struct partner p;
    struct partner_secret known[PARTNER_SECRETS_MAX];
    size_t n;
    enum err_kind kind = store_partner_by_client(tx, str_of(client_id), &t->arena, &p, err);
    if (!kind)
        kind = store_partner_secrets(tx, p.id, known, &n, err);
    if (kind)
        return kind;
    for (size_t i = 0; i < n && secret[0]; i++) {
        if (!wall_set(known[i].expires) && secret_matches(str_of(secret), &known[i].hash))
            return ERR_NONE;
    }
    secret_make(tx_rng(tx), secret);
    struct secret_hash hash;
    secret_hash_of(tx_rng(tx), str_of(secret), &hash);
    return store_partner_secret_add(tx, p.id, &hash, tx_now(tx), err);
}

static enum err_kind take_admin_token(struct tx *tx, struct taking *t, struct err *err) {
    char *token = t->credentials->admin_token;
    struct operator_token row;
    if (token[0]) { // NOLINT(clang-analyzer-core.NullDereference): an array in a struct; str_of, which also takes NULL, misleads it
        sha256_of(str_of(token), row.sha256);
        enum err_kind kind = store_operator_find(tx, row.sha256, &t->arena, &row, err);
        if (kind != ERR_NOT_FOUND)
            return kind;
        err_clear(err);
    }
    secret_make(tx_rng(tx), token);
    row = (struct operator_token){.name = STR("demo"), .created = tx_now(tx), .expires = WALL_NONE};
    sha256_of(str_of(token), row.sha256);
    return store_operator_add(tx, &row, err);
}

static enum err_kind take(struct tx *tx, void *ctx, struct err *err) {
    struct taking *t = ctx;
    enum err_kind kind = take_client_secret(tx, t, DEMO_CLIENT_ID, t->credentials->client_secret, err);
    if (!kind)
        kind = take_client_secret(tx, t, DEMO_SANDBOX_ID, t->credentials->sandbox_secret, err);
    return kind ? kind : take_admin_token(tx, t, err);
}

enum err_kind demo_credentials_take(struct store *s, const char *dir, struct demo_credentials *out, struct err *err) {
    struct taking t = {.credentials = out};
    env_read(dir, out);
    arena_init(&t.arena, 1 << 16);
    enum err_kind kind = store_run(s, take, &t, err);
    arena_release(&t.arena);
    return kind;
}

// ---- the page ----

void demo_print(const char *dir, const char *base_url, const char *origin, const char *realm, const struct demo_credentials *c,
                bool fresh) {
    printf("\n"
           "topupd demo is ready on %s (%s data in %s; Ctrl-C stops it)\n"
           "\n"
           "  partner   client id      %s\n"
           "            client secret  %s\n"
           "  sandbox   client id      %s\n"
           "            client secret  %s\n"
           "  operator  admin token    in %s/demo.env, with all of the above, for `. %s/demo.env`\n"
           "\n"
           "A first order. Get a token, place the documentation's top-up, look at the order:\n"
           "\n"
           "ACCESS_TOKEN=$(curl -s %s/auth/realms/%s/protocol/openid-connect/token \\\n"
           "  -d grant_type=client_credentials -d client_id=%s -d client_secret=%s \\\n"
           "  | sed 's/.*access_token\":\"\\([^\"]*\\).*/\\1/')\n"
           "\n"
           "curl -s -X POST %s/v2/orders \\\n"
           "  -H \"Authorization: Bearer $ACCESS_TOKEN\" \\\n"
           "  -H 'Content-Type: application/json' \\\n"
           "  -H 'X-Correlation-ID: unique-id-from-requester-123' \\\n"
           "  -d '{\n"
           "      \"operation_type\": \"TOPUP\",\n"
           "      \"sim_type\": \"PSIM\",\n"
           "      \"country\": \"GB\",\n"
           "      \"product\": {\n"
           "        \"id\": \"kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak=\",\n"
           "        \"sold_price\": 20,\n"
           "        \"sold_currency\": \"EUR\",\n"
           "        \"activation_date\": \"2020-01-01T00:00:00Z\"\n"
           "      },\n"
           "      \"subscriber\": { \"sim\": { \"iccid\": \"8944472600000510740\" } }\n"
           "    }'\n"
           "\n"
           "The answer names the order: curl -s -H \"Authorization: Bearer $ACCESS_TOKEN\" %s/v2/orders/<id>\n"
           "\n",
           origin, fresh ? "fresh" : "earlier", dir, DEMO_CLIENT_ID, c->client_secret, DEMO_SANDBOX_ID, c->sandbox_secret, dir, dir, origin,
           realm, DEMO_CLIENT_ID, c->client_secret, base_url, base_url);
    fflush(stdout);
}
