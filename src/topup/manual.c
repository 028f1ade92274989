// SPDX-License-Identifier: Apache-2.0
/*
 * manual.c - the manual page (man macros), made from the rows and from the tables here. docs/topup.1 is its output; a test holds the two
 * together.
 */
#include <stdio.h>
#include <string.h>

#include "topup/topup.h"

static const struct {
    enum ending code;
    const char *meaning;
} endings[] = {
    {END_OK, "It was done."},
    {END_REFUSED, "The server refused; its messages say why."},
    {END_USAGE, "The command line is wrong; nothing was asked of the server."},
    {END_UNREACHABLE, "The server cannot be reached, or is overloaded."},
    {END_ORDER_FAILED, "The order was accepted and then failed."},
    {END_TIMEOUT, "The order had not ended when \\-\\-timeout did. It goes on."},
    {END_BAD_ROWS, "An imported file has bad lines; with \\-\\-keep\\-good the others were taken, without it none."},
    {END_LOCAL, "A file cannot be read or written, or the configuration is wrong."},
    {END_INTERRUPTED, "Interrupted from the keyboard; an import was given up whole."},
};

// Text as troff takes it: hyphens that people may copy, no control at a line's begin.
static void add_text(struct buf *out, const char *text) {
    bool line_start = true;
    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            buf_add_text(out, "\\&");
        line_start = *text == '\n';
        if (*text == '-')
            buf_add_text(out, "\\-");
        else if (*text == '\\')
            buf_add_text(out, "\\e");
        else
            buf_add_char(out, *text);
    }
}

static void add_options(struct buf *out, const struct argp_option *o) {
    for (; o && o->name; o++) {
        buf_add_text(out, ".TP\n\\fB\\-\\-");
        add_text(out, o->name);
        buf_add_text(out, "\\fR");
        if (o->arg) {
            buf_add_text(out, "=\\fI");
            add_text(out, o->arg);
            buf_add_text(out, "\\fR");
        }
        buf_add_char(out, '\n');
        add_text(out, o->doc);
        buf_add_text(out, ".\n");
    }
}

static void add_command(struct buf *out, const struct command *c) {
    buf_printf(out, ".SS \"topup %s", c->noun);
    if (c->verb) {
        buf_add_char(out, ' ');
        add_text(out, c->verb);
    }
    buf_printf(out, "%s%s%s\"\n", c->options ? " [OPTION...]" : "", c->operands ? " " : "", c->operands ? c->operands : "");
    add_text(out, c->summary);
    buf_add_text(out, ".\n");
    if (c->text) {
        buf_add_text(out, ".PP\n");
        add_text(out, c->text);
        buf_add_char(out, '\n');
    }
    add_options(out, c->options);
    if (c->examples) {
        buf_add_text(out, ".PP\n.EX\n");
        add_text(out, c->examples);
        buf_add_text(out, ".EE\n");
    }
}

void manual_write(struct buf *out) {
    buf_add_text(out, ".\\\" SPDX-License-Identifier: Apache-2.0\n"
                      ".\\\" Made by `topup manual` from the table of commands.\n"
                      ".TH TOPUP 1 \"\" \"topup " TOPUP_VERSION "\" \"User Commands\"\n"
                      ".SH NAME\n"
                      "topup \\- order connectivity, and run a connectivity\\-ordering server\n"
                      ".SH SYNOPSIS\n"
                      ".B topup\n"
                      "[\\fIOPTION\\fR...] \\fICOMMAND\\fR [\\fIARGUMENT\\fR...]\n"
                      ".SH DESCRIPTION\n"
                      "topup talks to a\n"
                      ".BR topupd (8)\n"
                      "server over HTTP: as a partner, who buys, activates and tops up SIMs over the Connect API; and as an operator, who "
                      "runs partners,\n"
                      "products, SIMs and orders over the operator's API.\n"
                      ".PP\n"
                      "On a terminal, answers are tables that fit it; elsewhere they are plain and not shortened. With \\-\\-json they are "
                      "the server's JSON: a\n"
                      "resource as it came, a list as one object whose member\n"
                      ".I data\n"
                      "holds all that was asked for. Messages go to standard error, one a line.\n"
                      ".SH OPTIONS\n"
                      "These stand before or behind the command's words.\n");
    add_options(out, common_options);
    buf_add_text(out, ".TP\n\\fB\\-\\-help\\fR\nSay what a command does, with examples.\n"
                      ".TP\n\\fB\\-\\-version\\fR\nSay which version this is.\n"
                      ".SH COMMANDS\n");
    for (size_t i = 0; all_commands[i]; i++)
        for (const struct command *c = all_commands[i]; c->noun; c++)
            add_command(out, c);
    buf_add_text(out, ".SH \"EXIT STATUS\"\n");
    for (size_t i = 0; i < ARRAY_LEN(endings); i++)
        buf_printf(out, ".TP\n%d\n%s\n", endings[i].code, endings[i].meaning);
    buf_add_text(out,
                 ".SH ENVIRONMENT\nEach goes before its setting in the configuration file. The demo writes them to\n.IR DIR/demo.env ,\n"
                 "ready for a shell to read.\n");
    for (int key = 0; key < CONFIG_KEYS; key++) {
        buf_printf(out, ".TP\n\\fB%s\\fR (\\fI%s\\fR)\n", config_names[key].variable, config_names[key].name);
        add_text(out, config_names[key].what);
        buf_add_text(out, ".\n");
    }
    buf_add_text(out, ".TP\n\\fBNO_COLOR\\fR\nWhen set, nothing is coloured.\n"
                      ".SH FILES\n"
                      ".TP\n\\fI~/.config/topup/config\\fR\n"
                      "Settings, a line each: name = value, with the names in brackets above. It holds secrets: when others may read it, "
                      "topup refuses to use it.\n"
                      ".SH \"SEE ALSO\"\n"
                      ".BR topupd (8)\n");
}
