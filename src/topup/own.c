// SPDX-License-Identifier: Apache-2.0
/*
 * own.c - this program's own affairs: credentials, completion, manual; and the server's: its keys and how it does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/secret.h"
#include "topup/print.h"

#define LINE_MAX_BYTES 1024

// A line from the terminal (not echoed when it is a secret) or from standard input.
static bool ask(const char *prompt, bool secret, struct buf *out) {
    char line[LINE_MAX_BYTES];
    struct termios before, quiet;
    bool terminal = isatty(STDIN_FILENO), hidden = false;
    if (terminal) {
        fprintf(stderr, "%s: ", prompt);
        if (secret && tcgetattr(STDIN_FILENO, &before) == 0) {
            quiet = before;
            quiet.c_lflag &= ~(tcflag_t)ECHO;
            hidden = tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) == 0;
        }
    }
    bool read = fgets(line, sizeof line, stdin) != NULL;
    if (hidden) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    if (read)
        buf_add_str(out, str_trim(str_of(line)));
    secret_wipe(line, sizeof line);
    return read && out->n > 0;
}

static enum ending login_operator(struct session *s) {
    struct buf token;
    buf_init(&token, LINE_MAX_BYTES);
    enum ending how = END_LOCAL;
    if (!ask("Operator's token", true, &token)) {
        complain(how, "no token was given");
    } else {
        config_override(&s->config, CONFIG_ADMIN_TOKEN, token.p);
        how = session_call(s, SIDE_OPERATOR, "GET", STR_NONE, NULL, "/admin/v1/status");
    }
    if (token.p)
        secret_wipe(token.p, token.n);
    buf_release(&token);
    return how;
}

static enum ending login_partner(struct session *s) {
    struct err err = {0};
    struct buf id, secret;
    buf_init(&id, LINE_MAX_BYTES);
    buf_init(&secret, LINE_MAX_BYTES);
    if (session_has(s, OPT_CLIENT_ID))
        buf_add_text(&id, session_option(s, OPT_CLIENT_ID));
    enum ending how = END_OK;
    if (id.n == 0 && !ask("Client id", false, &id))
        how = complain(END_LOCAL, "no client id was given");
    else if (!ask("Client secret", true, &secret))
        how = complain(END_LOCAL, "no secret was given");
    if (how == END_OK) {
        config_override(&s->config, CONFIG_CLIENT_ID, id.p);
        config_override(&s->config, CONFIG_CLIENT_SECRET, secret.p);
        enum err_kind kind = client_token(s->client, &err);
        if (kind != ERR_NONE)
            how = complain_err(kind == ERR_UNAVAILABLE || kind == ERR_RATE ? END_UNREACHABLE : END_REFUSED, &err);
    }
    if (secret.p)
        secret_wipe(secret.p, secret.n);
    buf_release(&id);
    buf_release(&secret);
    return how;
}

static enum ending login(struct session *s) {
    bool operator= session_has(s, OPT_OPERATOR);
    enum ending how = operator? login_operator(s) : login_partner(s);
    if (how != END_OK)
        return how;
    struct err err = {0};
    const char *keep[CONFIG_KEYS] = {
        [CONFIG_SERVER] = s->config.value[CONFIG_SERVER], [CONFIG_BASE_URL] = s->config.value[CONFIG_BASE_URL]};
    if (operator) {
        keep[CONFIG_ADMIN_TOKEN] = s->config.value[CONFIG_ADMIN_TOKEN];
    } else {
        bool sandbox = session_has(s, OPT_SANDBOX);
        keep[sandbox ? CONFIG_SANDBOX_CLIENT_ID : CONFIG_CLIENT_ID] = s->config.value[CONFIG_CLIENT_ID];
        keep[sandbox ? CONFIG_SANDBOX_CLIENT_SECRET : CONFIG_CLIENT_SECRET] = s->config.value[CONFIG_CLIENT_SECRET];
    }
    if (config_store(&s->config, keep, &err) != ERR_NONE)
        return complain_err(END_LOCAL, &err);
    print_line(s, "The server took them. Kept in %s.", s->config.path);
    return END_OK;
}

static enum ending rotate_keys(struct session *s) {
    return session_show(s, SIDE_OPERATOR, "POST", STR_NONE, "/admin/v1/keys/rotate");
}

static const struct list_column node_columns[] = {{"NODE", "node", CELL_NUMBER},
                                                  {"ROLE", "role", CELL_KEEP},
                                                  {"HOST", "host", CELL_TEXT},
                                                  {"STARTED", "started_date", CELL_KEEP},
                                                  {"LEASE UNTIL", "lease_until", CELL_KEEP}};

static enum ending status(struct session *s) {
    struct err err = {0};
    json_t *answer = NULL;
    enum ending how = session_show(s, SIDE_OPERATOR, "GET", STR_NONE, "/admin/v1/status");
    if (how == END_OK && !session_has(s, OPT_JSON) && json_parse_object(session_answer(s), &answer, &err) == ERR_NONE)
        print_rows("Nodes", json_object_get(answer, "nodes"), node_columns, ARRAY_LEN(node_columns));
    json_decref(answer);
    return how;
}

static enum ending put_text(void (*write)(struct buf *out)) {
    struct buf text;
    buf_init(&text, 1u << 20);
    write(&text);
    if (text.p)
        fputs(text.p, stdout);
    buf_release(&text);
    return END_OK;
}

static enum ending completion(struct session *s) {
    if (strcmp(s->operand[0], "bash") == 0)
        return put_text(completion_bash);
    if (strcmp(s->operand[0], "zsh") == 0)
        return put_text(completion_zsh);
    return complain(END_USAGE, "there is completion for bash and zsh, not for \"%s\"", s->operand[0]);
}

static enum ending manual(struct session *s) {
    (void)s;
    return put_text(manual_write);
}

static const struct argp_option login_options[] = {
    {"client-id", OPT_CLIENT_ID, "ID", 0, "The client id, instead of being asked for it", 0},
    {"operator", OPT_OPERATOR, NULL, 0, "Keep an operator's token instead of a partner's credentials", 0},
    {0}};

const struct command own_commands[] = {
    {"login", NULL, NULL, 0, 0, login_options, "Keep credentials for the next calls",
     "Asks for the client id and the secret (from standard input when that is no terminal: one a line), tries them, and keeps them, "
     "together with the "
     "server's address, in ~/.config/topup/config, readable by you alone.",
     "  topup login --server https://connect.example\n"
     "  topup login --sandbox\n"
     "  topup login --operator --server https://connect.example\n",
     login},
    {"completion", NULL, "bash|zsh", 1, 1, NULL, "Print a completion script for a shell", NULL,
     "  source <(topup completion bash)\n"
     "  topup completion zsh > ~/.zfunc/_topup\n",
     completion},
    {"manual", NULL, NULL, 0, 0, NULL, "Print the manual page's source", NULL, "  topup manual | man -l -\n", manual},
    {0}};

const struct command server_commands[] = {
    {"key", "rotate", NULL, 0, 0, NULL, "Sign tokens with a fresh key from now on (operator)",
     "Tokens signed with the old one stay good until they expire.", "  topup key rotate\n", rotate_keys},
    {"status", NULL, NULL, 0, 0, NULL, "Show how the server does (operator)", NULL, "  topup status\n", status},
    {0}};
