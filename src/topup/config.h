// SPDX-License-Identifier: Apache-2.0
/*
 * config.h - where the server is and who we are: the environment, then ~/.config/topup/config (or $XDG_CONFIG_HOME/topup/config).
 *
 *   TOPUP_SERVER       server       origin of the server, such as https://connect.example; the operator's API is below it
 *   BASE_URL           base_url     the partner API's base, ending before /v2; default: the server
 *   CLIENT_ID          client_id    a partner's
 *   CLIENT_SECRET      client_secret
 *   SANDBOX_CLIENT_ID  sandbox_client_id, and
 *   SANDBOX_CLIENT_SECRET  sandbox_client_secret: a sandbox partner's, for --sandbox and the sandbox's own commands
 *   TOPUP_ADMIN_TOKEN  admin_token  an operator's
 *   TOPUP_REALM        realm        of the token endpoint; default tru-staff
 *   TOPUP_COUNTRY      country      default of `order place --country`
 *   TOPUP_CA_FILE      ca_file      certificates that the server's is checked against; default: the system's
 */
#ifndef TOPUP_CONFIG_H
#define TOPUP_CONFIG_H

#include "base/base.h"
#include "base/err.h"

enum config_key {
    CONFIG_SERVER,
    CONFIG_BASE_URL,
    CONFIG_CLIENT_ID,
    CONFIG_CLIENT_SECRET,
    CONFIG_ADMIN_TOKEN,
    CONFIG_REALM,
    CONFIG_SANDBOX_CLIENT_ID,
    CONFIG_SANDBOX_CLIENT_SECRET,
    CONFIG_COUNTRY,
    CONFIG_CA_FILE,
    CONFIG_KEYS
};
struct config_name {
    const char *name;     // in the file
    const char *variable; // in the environment
    const char *what;     // for people
};
extern const struct config_name config_names[CONFIG_KEYS];

struct config {
    char *value[CONFIG_KEYS]; // NULL when not set
    char *in_file[CONFIG_KEYS];
    char *path; // of the file, whether it exists or not; NULL when there is no home
};

// Faults of the file (a name that is not known, a file that others may read although it holds secrets) are errors.
NODISCARD enum err_kind config_load(struct config *c, struct err *err);
// Sets what an option says, above file and environment.
void config_override(struct config *c, enum config_key key, const char *value);
// Fills in what follows from the rest: server from base_url, base_url from server, the defaults. ERR_INVALID: an address that is none.
NODISCARD enum err_kind config_settle(struct config *c, struct err *err);
// Writes the file anew with these values changed: mode 0600, whole or not at all. A NULL value keeps what the file has.
NODISCARD enum err_kind config_store(struct config *c, const char *const value[CONFIG_KEYS], struct err *err);
void config_release(struct config *c);

#endif
