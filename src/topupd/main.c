// SPDX-License-Identifier: Apache-2.0
// main.c - the command line of topupd: what each command needs, in which order, and the exit code.
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/metrics.h"
#include "base/rng.h"
#include "topupd/app.h"
#include "topupd/config.h"
#include "topupd/demo.h"

const char *argp_program_version = "topupd " TOPUP_VERSION;

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

#define OVERRIDES_MAX 32

struct arguments {
    const char *command;
    const char *word; // what the command takes: an operator's name, a file
    const char *config_file;
    const char *data, *store, *listen, *role;
    const char *overrides[OVERRIDES_MAX];
    size_t n_overrides;
};

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "Read settings from FILE", 0},
    {"option", 'o', "NAME=VALUE", 0, "Override one setting; may be given several times", 0},
    {"listen", 'l', "ADDRESS:PORT", 0, "Serve there; port 0 takes a free one", 0},
    {"role", 'r', "ROLE", 0, "What this node does: all, api or engine", 0},
    {"data", 'd', "DIR", 0, "Keep the data in DIR (demo's default: demo-data)", 0},
    {"store", 's', "LOCATION", 0, "Keep the data there, a folder or postgresql://...; DIR is then only where demo writes demo.env", 0},
    {0},
};

static const char doc[] =
    "The open connectivity-ordering server.\n"
    "\n"
    "Commands:\n"
    "  serve            answer requests, until SIGTERM or SIGINT\n"
    "  demo             the same, on data to play with; prints a first order to paste\n"
    "  check-config     read the settings, say what is wrong with them\n"
    "  sample-config    print a file with every setting, its meaning and its default\n"
    "  migrate          bring the store to this version's schema\n"
    "  backup FILE      copy the store into FILE, while the server is running or not\n"
    "  restore FILE     make a store from such a copy, in an empty data folder\n"
    "  operator NAME    make an operator's token and print it (on the embedded store while the server is not running)\n"
    "\v"
    "Try it:     topupd demo\n"
    "For real:   topupd sample-config > topupd.conf; topupd check-config -c topupd.conf; topupd serve -c topupd.conf\n";

static error_t on_argument(int key, char *arg, struct argp_state *state) {
    struct arguments *a = state->input;
    switch (key) {
    case 'c':
        a->config_file = arg;
        return 0;
    case 'd':
        a->data = arg;
        return 0;
    case 's':
        a->store = arg;
        return 0;
    case 'l':
        a->listen = arg;
        return 0;
    case 'r':
        a->role = arg;
        return 0;
    case 'o':
        if (a->n_overrides == OVERRIDES_MAX)
            argp_error(state, "more than %d times --option", OVERRIDES_MAX);
        a->overrides[a->n_overrides++] = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (!a->command)
            a->command = arg;
        else if (!a->word)
            a->word = arg;
        else
            argp_error(state, "what is \"%s\"?", arg);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_usage(state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int complain(const struct err *err) {
    log_flush();
    for (unsigned i = 0; i < err->count; i++)
        fprintf(stderr, "topupd: %s\n", err_message(err, i));
    return EXIT_FAILED;
}

static enum err_kind settings(const struct arguments *a, struct config *c, struct err *err) {
    config_init(c);
    config_read(c, a->config_file, err);
    for (size_t i = 0; i < a->n_overrides; i++)
        config_set(c, a->overrides[i], err);
    if (a->listen) {
        free(c->listen);
        c->listen = xstrdup(a->listen);
    }
    const char *store = a->store || store_is_remote(c->store) ? a->store : a->data;
    if (store) {
        free(c->store);
        c->store = xstrdup(store);
    }
    if (a->role) {
        free(c->role);
        c->role = xstrdup(a->role);
    }
    return config_check(c, err);
}

// ---- commands ----

static int command_check_config(struct config *c, const struct arguments *a, struct err *err) {
    (void)c, (void)err;
    printf("%s: good\n", a->config_file ? a->config_file : "the defaults");
    return EXIT_OK;
}

static int command_sample_config(struct config *c, const struct arguments *a, struct err *err) {
    (void)c, (void)a, (void)err;
    struct buf out;
    buf_init(&out, 1 << 16);
    config_sample(&out);
    fwrite(out.p, 1, out.n, stdout);
    buf_release(&out);
    return EXIT_OK;
}

static enum err_kind store_alone(const struct config *c, bool may_create, struct store **out, struct err *err) {
    struct store_options o;
    store_options_default(&o);
    o.location = c->store;
    o.clock = &clock_system;
    o.rng = &rng_system;
    o.threaded = false;
    o.may_create = may_create;
    return store_open(&o, out, err);
}

static int command_migrate(struct config *c, const struct arguments *a, struct err *err) {
    (void)a;
    struct store *s;
    if (store_alone(c, true, &s, err))
        return complain(err);
    char name[STORE_NAME_MAX];
    int64_t from, to;
    store_name(c->store, name, sizeof name);
    store_schema(s, &from, &to);
    if (from == 0)
        printf("%s: a new store, with schema version %" PRId64 "\n", name, to);
    else if (from < to)
        printf("%s: the schema was version %" PRId64 " and is %" PRId64 " now\n", name, from, to);
    else
        printf("%s: the schema is version %" PRId64 " already, this program's\n", name, to);
    store_close(s);
    return EXIT_OK;
}

static int command_operator(struct config *c, const struct arguments *a, struct err *err) {
    if (!a->word) {
        fprintf(stderr, "topupd: operator: needs a name, such as `topupd operator alice`\n");
        return EXIT_USAGE;
    }
    struct store *s;
    char token[SECRET_TEXT];
    if (store_alone(c, true, &s, err))
        return complain(err);
    enum err_kind kind = operator_token_make(s, a->word, token, err);
    store_close(s);
    if (kind)
        return complain(err);
    printf("%s\n", token);
    return EXIT_OK;
}

static int needs_file(const char *command) {
    fprintf(stderr, "topupd: %s: needs a file, such as `topupd %s -c topupd.conf store.backup`\n", command, command);
    return EXIT_USAGE;
}

static int command_backup(struct config *c, const struct arguments *a, struct err *err) {
    if (!a->word)
        return needs_file("backup");
    if (store_backup(c->store, a->word, err))
        return complain(err);
    printf("%s: a whole copy of %s\n", a->word, c->store);
    return EXIT_OK;
}

static int command_restore(struct config *c, const struct arguments *a, struct err *err) {
    if (!a->word)
        return needs_file("restore");
    if (store_restore(a->word, c->store, err))
        return complain(err);
    printf("%s: the store of %s\n", c->store, a->word);
    return EXIT_OK;
}

static int run_until_signal(struct app *app) {
    log_info("server.ready", LOG_TEXT("listen", app_listen(app)), LOG_TEXT("base_url", app_base_url(app)), LOG_INT("node", app_node(app)),
             LOG_TEXT("role", app_role(app)));
    bool asked = app_wait(app);
    app_close(app);
    log_info("server.stopped", LOG_INT("pid", getpid()));
    return asked ? EXIT_OK : EXIT_FAILED;
}

static int command_serve(struct config *c, const struct arguments *a, struct err *err) {
    (void)a;
    struct app *app;
    if (app_open(c, &(struct app_options){.may_create = true}, &app, err))
        return complain(err);
    if (app_serve(app, err)) {
        app_close(app);
        return complain(err);
    }
    return run_until_signal(app);
}

static int command_demo(struct config *c, const struct arguments *a, struct err *err) {
    const char *dir = a->data ? a->data : "demo-data";
    if (!a->data && !a->store && !store_is_remote(c->store)) {
        free(c->store);
        c->store = xstrdup(dir);
    }
    if (store_is_remote(c->store) && mkdir(dir, 0700) != 0 && errno != EEXIST) {
        fprintf(stderr, "topupd: %s: cannot be made: %s\n", dir, strerror(errno));
        return EXIT_FAILED;
    }
    struct app *app;
    if (app_open(c, &(struct app_options){.may_create = true, .demo = true}, &app, err))
        return complain(err);
    bool fresh = store_is_fresh(app_store(app));
    struct demo_credentials credentials;
    enum err_kind kind = demo_fill(app_store(app), err);
    if (!kind)
        kind = demo_credentials_take(app_store(app), dir, &credentials, err);
    if (!kind)
        kind = app_serve(app, err);
    if (!kind)
        kind = demo_env_write(dir, app_base_url(app), app_origin(app), &credentials, err);
    if (kind) {
        app_close(app);
        return complain(err);
    }
    demo_print(dir, app_base_url(app), app_origin(app), c->realm, &credentials, fresh);
    secret_wipe(&credentials, sizeof credentials);
    return run_until_signal(app);
}

static const struct command {
    const char *name;
    int (*run)(struct config *c, const struct arguments *a, struct err *err);
    bool is_broken_off_by_signals; // the others end when they have tidied up
} commands[] = {
    {"serve", command_serve},
    {"demo", command_demo},
    {"check-config", command_check_config},
    {"migrate", command_migrate},
    {"operator", command_operator},
    {"sample-config", command_sample_config},
    {"backup", command_backup, true},
    {"restore", command_restore, true},
};

int main(int argc, char **argv) {
    struct arguments a = {0};
    static const struct argp argp = {options, on_argument, "COMMAND [NAME|FILE]", doc, NULL, NULL, NULL};
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, &a);

    const struct command *command = NULL;
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, a.command) == 0)
            command = &commands[i];
    }
    if (!command) {
        fprintf(stderr, "topupd: there is no command \"%s\"; `topupd --help` lists them\n", a.command);
        return EXIT_USAGE;
    }
    struct config config = {0};
    struct err err = {0};
    if (settings(&a, &config, &err)) {
        config_release(&config);
        return complain(&err);
    }
    (void)log_level_parse(str_of(config.log_level), &log_threshold);
    if (!command->is_broken_off_by_signals)
        app_block_signals();
    log_start(STDERR_FILENO);
    int status = command->run(&config, &a, &err);
    log_stop();
    metrics_reset();
    config_release(&config);
    return status;
}
