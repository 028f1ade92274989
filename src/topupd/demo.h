// SPDX-License-Identifier: Apache-2.0
/*
 * demo.h - what `topupd demo` adds to the server: data to play with (connect-v2, section 9), credentials, and a page that says how to
 * begin.
 *
 * Credentials are kept nowhere but in DIR/demo.env (mode 0600), a file that a shell can source. A folder that holds a store already is
 * continued: credentials that still stand in its demo.env and still hold are kept, others are made anew.
 */
#ifndef TOPUPD_DEMO_H
#define TOPUPD_DEMO_H

#include "base/err.h"
#include "base/secret.h"
#include "store/store.h"

struct demo_credentials {
    char client_secret[SECRET_TEXT];
    char sandbox_secret[SECRET_TEXT];
    char admin_token[SECRET_TEXT];
};

#define DEMO_CLIENT_ID "truphone"
#define DEMO_SANDBOX_ID "truphone-sandbox"

// Fills a fresh store; on one that has been filled before, changes nothing.
NODISCARD enum err_kind demo_fill(struct store *s, struct err *err);
// Takes what DIR/demo.env holds as far as it is still good, makes what is missing.
NODISCARD enum err_kind demo_credentials_take(struct store *s, const char *dir, struct demo_credentials *out, struct err *err);
// Writes DIR/demo.env: the sign that the server is ready.
NODISCARD enum err_kind demo_env_write(const char *dir, const char *base_url, const char *origin, const struct demo_credentials *c,
                                       struct err *err);
// The page for the person at the terminal.
void demo_print(const char *dir, const char *base_url, const char *origin, const char *realm, const struct demo_credentials *c, bool fresh);

#endif
