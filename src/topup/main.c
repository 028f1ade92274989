// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - finds the command among the rows, lets argp read its options, opens the session and runs it.
 */
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/date.h"
#include "base/json.h"
#include "base/secret.h"
#include "topup/print.h"
#include "topup/table.h"
#include "topup/topup.h"

#define BODY_TYPE "application/json"

const char *argp_program_version = "topup " TOPUP_VERSION;

const struct command *const all_commands[] = {
    partner_commands, product_commands, sim_commands,     order_commands,  subscription_commands, event_commands,  webhook_commands,
    usage_commands,   sandbox_commands, archive_commands, backup_commands, own_commands,          server_commands, NULL};

const struct argp_option common_options[] = {
    {"json", OPT_JSON, NULL, 0, "Print the server's JSON instead of tables", -1},
    {"server", OPT_SERVER, "URL", 0, "Address of the server, above TOPUP_SERVER", -1},
    {"base-url", OPT_BASE_URL, "URL", 0, "Base of the partner API, above BASE_URL; it ends before /v2", -1},
    {"sandbox", OPT_SANDBOX, NULL, 0, "As the sandbox partner: SANDBOX_CLIENT_ID instead of CLIENT_ID", -1},
    {0},
};

// ---- complaints ----

enum ending complain(enum ending how, const char *fmt, ...) {
    va_list args;
    char text[4096];
    struct buf clean;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    buf_init(&clean, 65536);
    text_clean(&clean, str_of(text));
    fprintf(stderr, "topup: %s\n", clean.p ? clean.p : "");
    buf_release(&clean);
    return how;
}

enum ending complain_err(enum ending how, const struct err *err) {
    for (unsigned i = 0; i < err->count; i++)
        complain(how, "%s", err_message(err, i));
    if (err->count == 0)
        complain(how, "%s", err_first(err));
    return how;
}

// ---- options ----

bool option_i64(const struct session *s, enum option_key key, const char *name, int64_t min, int64_t max, int64_t *out) {
    const char *text = session_option(s, key);
    int64_t v;
    if (!text)
        return true;
    if (!str_to_i64(str_of(text), &v) || v < min || v > max) {
        complain(END_USAGE, "%s: must be a whole number from %" PRId64 " to %" PRId64 ", not \"%s\"", name, min, max, text);
        return false;
    }
    *out = v;
    return true;
}

bool option_seconds(const struct session *s, enum option_key key, const char *name, int64_t max, int64_t *out) {
    const char *text = session_option(s, key);
    struct duration d = {0, 0};
    int64_t seconds = 0;
    if (!text)
        return true;
    if (!str_to_i64(str_of(text), &seconds)) {
        if (!duration_parse(str_of(text), &d) || d.months != 0) {
            complain(END_USAGE, "%s: must be a number of seconds or a duration such as 12h or 7d, not \"%s\"", name, text);
            return false;
        }
        seconds = d.ms / 1000;
    }
    if (seconds < 0 || seconds > max) {
        complain(END_USAGE, "%s: at most %" PRId64 " days", name, max / 86400);
        return false;
    }
    *out = seconds;
    return true;
}

void jw_words(struct jw *w, const char *key, const char *list) {
    struct str rest = str_of(list), word;
    jw_array(w, key);
    while (str_present(rest)) {
        rest = str_cut(rest, ',', &word);
        word = str_trim(word);
        if (word.n > 0)
            jw_str(w, NULL, word);
    }
    jw_end_array(w);
}

// ---- addresses ----

void path_segment(struct buf *out, const char *text) {
    for (; *text; text++) {
        unsigned char b = (unsigned char)*text;
        if ((b >= '0' && b <= '9') || (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z') || strchr("-._~", b))
            buf_add_char(out, (char)b);
        else
            buf_printf(out, "%%%02X", b);
    }
}

void query_add(struct buf *path, const char *name, const char *value) {
    if (!value)
        return;
    buf_add_char(path, path->p && strchr(path->p, '?') ? '&' : '?');
    buf_add_text(path, name);
    buf_add_char(path, '=');
    path_segment(path, value);
}

static bool read_secret_file(const char *path, struct buf *out) {
    bool standard = strcmp(path, "-") == 0;
    FILE *f = standard ? stdin : fopen(path, "re");
    char line[1024];
    if (!f || !fgets(line, sizeof line, f)) {
        complain(END_LOCAL, "%s: %s", standard ? "standard input" : path, f ? "is empty" : strerror(errno));
        if (f && !standard)
            fclose(f);
        return false;
    }
    if (!standard)
        fclose(f);
    buf_add_str(out, str_trim(str_of(line)));
    secret_wipe(line, sizeof line);
    return true;
}

bool add_secret_file(const struct session *s, struct jw *w, const char *key) {
    if (!session_has(s, OPT_SECRET_FILE))
        return true;
    struct buf secret;
    buf_init(&secret, 2048);
    bool found = read_secret_file(session_option(s, OPT_SECRET_FILE), &secret);
    if (found)
        jw_str(w, key, buf_str(&secret));
    if (secret.p)
        secret_wipe(secret.p, secret.n);
    buf_release(&secret);
    return found;
}

// ---- calls ----

static enum ending ending_of(enum err_kind kind) {
    return kind == ERR_UNAVAILABLE || kind == ERR_RATE ? END_UNREACHABLE : END_REFUSED;
}

enum client_side session_side(const struct session *s) {
    const char *as = session_option(s, OPT_AS);
    if (as)
        return strcmp(as, "partner") == 0 ? SIDE_PARTNER : SIDE_OPERATOR;
    if (session_has(s, OPT_SANDBOX))
        return SIDE_PARTNER;
    return s->config.value[CONFIG_ADMIN_TOKEN] ? SIDE_OPERATOR : SIDE_PARTNER;
}

struct str session_answer(const struct session *s) {
    return buf_str(&client_answer(s->client)->body);
}

static enum ending call(struct session *s, enum client_side side, const char *method, struct str body, json_t **out, const char *path) {
    struct err err = {0};
    enum err_kind kind = client_call(s->client, side, method, path, BODY_TYPE, body, &err);
    if (kind != ERR_NONE)
        return complain_err(ending_of(kind), &err);
    struct str answer = session_answer(s);
    if (!out)
        return END_OK;
    *out = NULL;
    if (answer.n == 0)
        return END_OK;
    if (json_parse_object(answer, out, &err) != ERR_NONE)
        return complain(END_REFUSED, "the server's answer is no JSON: is this the right address?");
    return END_OK;
}

static bool path_of(struct buf *path, const char *fmt, va_list args) PRINTF_LIKE(2, 0);
static bool path_of(struct buf *path, const char *fmt, va_list args) {
    char text[32768];
    int n = vsnprintf(text, sizeof text, fmt, args);
    buf_init(path, 65536);
    if (n < 0 || (size_t)n >= sizeof text) {
        complain(END_USAGE, "an argument is too long");
        return false;
    }
    buf_add_text(path, text);
    return true;
}

enum ending session_call(struct session *s, enum client_side side, const char *method, struct str body, json_t **out, const char *path_fmt,
                         ...) {
    struct buf path;
    va_list args;
    va_start(args, path_fmt);
    bool fits = path_of(&path, path_fmt, args);
    va_end(args);
    enum ending how = fits ? call(s, side, method, body, out, path.p) : END_USAGE;
    buf_release(&path);
    return how;
}

enum ending session_show(struct session *s, enum client_side side, const char *method, struct str body, const char *path_fmt, ...) {
    struct buf path;
    json_t *answer = NULL;
    va_list args;
    va_start(args, path_fmt);
    bool fits = path_of(&path, path_fmt, args);
    va_end(args);
    enum ending how = fits ? call(s, side, method, body, &answer, path.p) : END_USAGE;
    buf_release(&path);
    if (how == END_OK && session_has(s, OPT_JSON))
        printf(STR_FMT "\n", STR_ARG(session_answer(s)));
    else if (how == END_OK && answer)
        print_members(answer);
    json_decref(answer);
    return how;
}

// ---- the command line ----

// What argp gathers for one command.
struct gathering {
    struct session *s;
    const struct command *command;
};

// "live|sandbox" as an option's argument: its value must be one of them.
static bool is_one_of(const char *words, const char *value) {
    struct str rest = str_of(words), word;
    if (!strchr(words, '|'))
        return true;
    while (str_present(rest)) {
        rest = str_cut(rest, '|', &word);
        if (str_is(word, value))
            return true;
    }
    return false;
}

static void check_word(const struct argp_option *o, int key, const char *value, struct argp_state *state) {
    for (; o && o->name; o++)
        if (o->key == key && o->arg && !is_one_of(o->arg, value))
            argp_error(state, "--%s: must be %s, not \"%s\"", o->name, o->arg, value);
}

static error_t on_common(int key, char *arg, struct argp_state *state) {
    struct session *s = state->input;
    if (key < OPT_FIRST || key >= OPT_END)
        return ARGP_ERR_UNKNOWN;
    s->option[key - OPT_FIRST] = arg ? arg : "";
    return 0;
}

static error_t on_option(int key, char *arg, struct argp_state *state) {
    struct gathering *g = state->input;
    struct session *s = g->s;
    const struct command *c = g->command;
    if (key >= OPT_FIRST && key < OPT_END) {
        s->option[key - OPT_FIRST] = arg ? arg : "";
        if (arg)
            check_word(c->options, key, arg, state);
        return 0;
    }
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = s;
        return 0;
    case ARGP_KEY_ARG:
        if (s->operands >= c->max)
            argp_error(state, c->max == 0 ? "takes no operand, but there is \"%s\"" : "\"%s\" is one operand too many", arg);
        s->operand[s->operands++] = arg;
        return 0;
    case ARGP_KEY_END:
        if (s->operands < c->min)
            argp_error(state, "%s: missing", c->operands);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

// The options before the command's words. It stops at the first word.
struct opening {
    struct session *s;
    int first;
};

static enum ending print_help(const char *noun) {
    struct buf text;
    buf_init(&text, 1u << 20);
    if (noun)
        help_noun(&text, noun);
    else
        help_overview(&text);
    fputs(text.p, stdout);
    buf_release(&text);
    return END_OK;
}

static error_t on_opening(int key, char *arg, struct argp_state *state) {
    struct opening *o = state->input;
    (void)arg;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = o->s;
        return 0;
    case '?':
        exit(print_help(NULL));
    case 'V':
        puts(argp_program_version);
        exit(END_OK);
    case ARGP_KEY_ARG:
        o->first = state->next - 1;
        state->next = state->argc;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool noun_known(const char *noun) {
    for (size_t i = 0; all_commands[i]; i++)
        for (const struct command *c = all_commands[i]; c->noun; c++)
            if (strcmp(c->noun, noun) == 0)
                return true;
    return false;
}

static const struct command *find_command(const char *noun, const char *verb) {
    for (size_t i = 0; all_commands[i]; i++)
        for (const struct command *c = all_commands[i]; c->noun; c++)
            if (strcmp(c->noun, noun) == 0 && (!c->verb || (verb && strcmp(c->verb, verb) == 0)))
                return c;
    return NULL;
}

static error_t command_argp(struct session *s, const struct command *c, int argc, char **argv) {
    // argp shows `doc` before the options and what follows the vertical tab behind them.
    struct buf doc, name;
    buf_init(&doc, 65536);
    buf_init(&name, 128);
    buf_printf(&doc, "%s.", c->summary);
    if (c->text)
        buf_printf(&doc, "\n\n%s", c->text);
    buf_add_char(&doc, '\v');
    if (c->examples)
        buf_printf(&doc, "Examples:\n%s", c->examples);
    buf_printf(&name, "topup %s%s%s", c->noun, c->verb ? " " : "", c->verb ? c->verb : "");
    static const struct argp common = {.options = common_options, .parser = on_common};
    const struct argp_child children[] = {{&common, 0, NULL, -1}, {0}};
    const struct argp argp = {c->options, on_option, c->operands, doc.p, children, NULL, NULL};
    struct gathering g = {s, c};
    s->command = c;
    s->operand = xcalloc((size_t)argc + 1, sizeof *s->operand);
    char *before = argv[0];
    argv[0] = name.p;
    error_t rc = argp_parse(&argp, argc, argv, 0, NULL, &g);
    argv[0] = before;
    buf_release(&doc);
    buf_release(&name);
    return rc;
}

// With --sandbox, and for the sandbox's own commands, the sandbox partner's credentials stand for the partner's.
static enum ending choose_partner(struct session *s) {
    const char *id = s->config.value[CONFIG_SANDBOX_CLIENT_ID], *secret = s->config.value[CONFIG_SANDBOX_CLIENT_SECRET];
    bool asked = session_has(s, OPT_SANDBOX);
    if ((asked || s->command->sandbox) && id && secret) {
        config_override(&s->config, CONFIG_CLIENT_ID, id);
        config_override(&s->config, CONFIG_CLIENT_SECRET, secret);
    } else if (asked && strcmp(s->command->noun, "login") != 0) {
        return complain(END_USAGE, "--sandbox: set SANDBOX_CLIENT_ID and SANDBOX_CLIENT_SECRET, or keep them with `topup login --sandbox`");
    }
    return END_OK;
}

static enum ending run(struct session *s) {
    struct err err = {0};
    if (config_load(&s->config, &err) != ERR_NONE)
        return complain_err(END_LOCAL, &err);
    if (session_has(s, OPT_SERVER)) {
        // An address on the command line is one server: what else was configured belongs to another.
        config_override(&s->config, CONFIG_SERVER, session_option(s, OPT_SERVER));
        config_override(&s->config, CONFIG_BASE_URL, NULL);
    }
    if (session_has(s, OPT_BASE_URL))
        config_override(&s->config, CONFIG_BASE_URL, session_option(s, OPT_BASE_URL));
    if (config_settle(&s->config, &err) != ERR_NONE)
        return complain_err(END_USAGE, &err);
    if (choose_partner(s) != END_OK)
        return END_USAGE;
    if (client_open(&s->config, &s->client, &err) != ERR_NONE)
        return complain_err(END_LOCAL, &err);
    return s->command->run(s);
}

int main(int argc, char **argv) {
    setlocale(LC_ALL, "");
    if (MB_CUR_MAX == 1) // what the server sends is UTF-8, wherever it is written to
        setlocale(LC_CTYPE, "C.UTF-8");
    signal(SIGPIPE, SIG_IGN);
    argp_err_exit_status = END_USAGE;
    struct session s = {0};
    struct opening o = {&s, argc};
    static const struct argp_option help[] = {
        {"help", '?', NULL, 0, "Give this help list", -1}, {"version", 'V', NULL, 0, "Print program version", -1}, {0}};
    static const struct argp common = {.options = common_options, .parser = on_common};
    const struct argp_child children[] = {{&common, 0, NULL, 0}, {0}};
    const struct argp opening = {help, on_opening, "COMMAND [ARGUMENT...]", NULL, children, NULL, NULL};
    error_t rc = argp_parse(&opening, argc, argv, ARGP_IN_ORDER | ARGP_NO_HELP, NULL, &o);
    if (rc != 0)
        return END_USAGE;
    if (o.first >= argc) {
        print_help(NULL);
        return END_USAGE;
    }
    char **words = argv + o.first;
    int n = argc - o.first;
    bool help_word = strcmp(words[0], "help") == 0;
    if (help_word) {
        words++;
        n--;
        if (n == 0)
            return print_help(NULL);
    }
    if (!noun_known(words[0]))
        return complain(END_USAGE, "there is no command \"%s\" (topup --help lists them)", words[0]);
    const char *verb = n > 1 ? words[1] : NULL;
    const struct command *c = find_command(words[0], verb);
    if (!c && (!verb || strcmp(verb, "--help") == 0 || strcmp(verb, "-?") == 0)) {
        print_help(words[0]);
        return verb || help_word ? END_OK : END_USAGE;
    }
    if (!c)
        return complain(END_USAGE, "there is no command \"%s %s\" (topup %s --help lists them)", words[0], verb, words[0]);
    int skip = c->verb ? 1 : 0;
    static char help_option[] = "--help";
    char *with_help[] = {help_option, help_option, NULL};
    if (help_word)
        rc = command_argp(&s, c, 2, with_help);
    else
        rc = command_argp(&s, c, n - skip, words + skip);
    if (rc != 0)
        return complain(END_USAGE, "%s", strerror(rc));
    enum ending how = run(&s);
    if (fflush(stdout) != 0 && how == END_OK)
        how = complain(END_LOCAL, "standard output: %s", strerror(errno));
    client_close(s.client);
    config_release(&s.config);
    free(s.operand);
    return how;
}
