// SPDX-License-Identifier: Apache-2.0
/*
 * help.c - the overview, and the completion scripts: made from the rows.
 */
#include <stdio.h>
#include <string.h>

#include "topup/topup.h"

static void command_line(struct buf *out, const struct command *c) {
    char words[128];
    snprintf(words, sizeof words, "%s%s%s%s%s", c->noun, c->verb ? " " : "", c->verb ? c->verb : "", c->operands ? " " : "",
             c->operands ? c->operands : "");
    buf_printf(out, "  %-38s %s\n", words, c->summary);
}

static void commands_of(struct buf *out, const char *noun) {
    for (size_t i = 0; all_commands[i]; i++)
        for (const struct command *c = all_commands[i]; c->noun; c++)
            if (!noun || strcmp(c->noun, noun) == 0)
                command_line(out, c);
}

void help_overview(struct buf *out) {
    buf_add_text(out, "Usage: topup [OPTION...] COMMAND [ARGUMENT...]\n"
                      "Order connectivity as a partner; run partners, products, SIMs and orders as an operator.\n\n");
    commands_of(out, NULL);
    buf_add_text(out, "\nOptions for every command:\n"
                      "      --json                 the server's JSON instead of tables\n"
                      "      --server URL           the server, above TOPUP_SERVER and ~/.config/topup/config\n"
                      "      --base-url URL         base of the partner API, above BASE_URL; it ends before /v2\n"
                      "      --sandbox              as the sandbox partner, SANDBOX_CLIENT_ID\n"
                      "      --help, --usage, --version\n"
                      "\nA first order against the demo (topupd demo --data DIR):\n"
                      "  set -a; . DIR/demo.env; set +a\n"
                      "  topup products\n"
                      "  topup order place --iccid 8944472600000510740 --wait \\\n"
                      "      --product kn8etk9XBX0gG7pFP5KErXvWVNN4jOERTMVMNEkX-Ak=\n"
                      "\ntopup COMMAND --help says more about each, with examples; man topup has it all.\n");
}

void help_noun(struct buf *out, const char *noun) {
    buf_printf(out, "Usage: topup %s VERB [OPTION...] [ARGUMENT...]\n\n", noun);
    commands_of(out, noun);
    buf_printf(out, "\ntopup %s VERB --help says more about each, with examples.\n", noun);
}

// ---- completion ----

static bool first_of_noun(const struct command *list, const struct command *c) {
    for (const struct command *other = list; other < c; other++)
        if (strcmp(other->noun, c->noun) == 0)
            return false;
    return true;
}

static void add_nouns(struct buf *out) {
    for (size_t i = 0; all_commands[i]; i++)
        for (const struct command *c = all_commands[i]; c->noun; c++)
            if (first_of_noun(all_commands[i], c))
                buf_printf(out, "%s ", c->noun);
    buf_add_text(out, "help");
}

static void add_verbs(struct buf *out, const char *noun) {
    bool any = false;
    for (size_t i = 0; all_commands[i]; i++)
        for (const struct command *c = all_commands[i]; c->noun; c++)
            if (c->verb && strcmp(c->noun, noun) == 0) {
                buf_printf(out, "%s%s", any ? " " : "", c->verb);
                any = true;
            }
}

static void add_flags(struct buf *out, const struct argp_option *o) {
    for (; o && o->name; o++)
        buf_printf(out, "--%s ", o->name);
}

// An option's closed list of values as words.
static void add_values(struct buf *out, const char *list) {
    for (const char *p = list; *p; p++)
        buf_add_char(out, *p == '|' ? ' ' : *p);
}

void completion_bash(struct buf *out) {
    buf_add_text(out, "# bash completion for topup; made by `topup completion bash`\n"
                      "_topup() {\n"
                      "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} noun= verb= word words=\n"
                      "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
                      "        [[ $word == -* ]] && continue\n"
                      "        if [[ -z $noun ]]; then noun=$word; elif [[ -z $verb ]]; then verb=$word; fi\n"
                      "    done\n"
                      "    COMPREPLY=()\n"
                      "    if [[ -z $noun ]]; then\n"
                      "        COMPREPLY=($(compgen -W \"");
    add_nouns(out);
    buf_add_text(out, " --json --server --base-url --sandbox --help --version\" -- \"$cur\"))\n"
                      "        return\n"
                      "    fi\n"
                      "    case \"$noun\" in\n");
    for (size_t i = 0; all_commands[i]; i++) {
        for (const struct command *c = all_commands[i]; c->noun; c++) {
            if (!c->verb || !first_of_noun(all_commands[i], c))
                continue;
            buf_printf(out, "    %s) words=\"", c->noun);
            add_verbs(out, c->noun);
            buf_add_text(out, "\" ;;\n");
        }
    }
    buf_add_text(out, "    esac\n"
                      "    if [[ -n $words && -z $verb ]]; then\n"
                      "        COMPREPLY=($(compgen -W \"$words --help\" -- \"$cur\"))\n"
                      "        return\n"
                      "    fi\n"
                      "    [[ -n $words ]] || verb=\n"
                      "    case \"$noun $verb $prev\" in\n");
    for (size_t i = 0; all_commands[i]; i++) {
        for (const struct command *c = all_commands[i]; c->noun; c++) {
            for (const struct argp_option *o = c->options; o && o->name; o++) {
                if (!o->arg)
                    continue;
                buf_printf(out, "    \"%s %s --%s\") ", c->noun, c->verb ? c->verb : "", o->name);
                if (strchr(o->arg, '|')) {
                    buf_add_text(out, "COMPREPLY=($(compgen -W \"");
                    add_values(out, o->arg);
                    buf_add_text(out, "\" -- \"$cur\")); return ;;\n");
                } else {
                    buf_add_text(out, strcmp(o->arg, "FILE") == 0 ? "COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n" : "return ;;\n");
                }
            }
        }
    }
    buf_add_text(out, "    esac\n"
                      "    case \"$noun $verb\" in\n");
    for (size_t i = 0; all_commands[i]; i++) {
        for (const struct command *c = all_commands[i]; c->noun; c++) {
            buf_printf(out, "    \"%s %s\") words=\"", c->noun, c->verb ? c->verb : "");
            add_flags(out, c->options);
            add_flags(out, common_options);
            if (c->operands && strchr(c->operands, '|'))
                add_values(out, c->operands);
            buf_add_text(out, " --help\" ;;\n");
        }
    }
    buf_add_text(out, "    esac\n"
                      "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                      "    case \"$noun $verb\" in\n");
    for (size_t i = 0; all_commands[i]; i++)
        for (const struct command *c = all_commands[i]; c->noun; c++)
            if (c->operands && strstr(c->operands, "FILE"))
                buf_printf(out, "    \"%s %s\") [[ $cur == -* ]] || COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n", c->noun,
                           c->verb ? c->verb : "");
    buf_add_text(out, "    esac\n"
                      "}\n"
                      "complete -o filenames -F _topup topup\n");
}

// Text for zsh between single quotes in a description: no quote, bracket or colon may stand in it as it is.
static void add_zsh(struct buf *out, const char *text) {
    for (; *text; text++) {
        if (*text == '\'')
            buf_add_text(out, "'\\''");
        else if (strchr("[]:\\", *text))
            buf_printf(out, "\\%c", *text);
        else
            buf_add_char(out, *text);
    }
}

static void zsh_options(struct buf *out, const struct argp_option *o) {
    for (; o && o->name; o++) {
        buf_printf(out, " \\\n            '--%s%s[", o->name, o->arg ? "=" : "");
        add_zsh(out, o->doc);
        buf_add_char(out, ']');
        if (o->arg && strchr(o->arg, '|')) {
            buf_printf(out, ":%s:(", o->name);
            add_values(out, o->arg);
            buf_add_char(out, ')');
        } else if (o->arg) {
            buf_printf(out, ":%s:%s", o->arg, strcmp(o->arg, "FILE") == 0 ? "_files" : "");
        }
        buf_add_char(out, '\'');
    }
}

void completion_zsh(struct buf *out) {
    buf_add_text(out, "#compdef topup\n"
                      "# zsh completion for topup; made by `topup completion zsh`\n"
                      "_topup() {\n"
                      "    local -a words_of\n"
                      "    if (( CURRENT == 2 )); then\n"
                      "        words_of=(");
    add_nouns(out);
    buf_add_text(out, ")\n"
                      "        compadd -- $words_of --json --server --base-url --sandbox --help --version\n"
                      "        return\n"
                      "    fi\n"
                      "    case $words[2] in\n");
    for (size_t i = 0; all_commands[i]; i++) {
        for (const struct command *c = all_commands[i]; c->noun; c++) {
            if (!c->verb || !first_of_noun(all_commands[i], c))
                continue;
            buf_printf(out, "    %s) if (( CURRENT == 3 )); then compadd -- ", c->noun);
            add_verbs(out, c->noun);
            buf_add_text(out, "; return; fi ;;\n");
        }
    }
    buf_add_text(out, "    esac\n"
                      "    case \"$words[2] $words[3]\" in\n");
    for (size_t i = 0; all_commands[i]; i++) {
        for (const struct command *c = all_commands[i]; c->noun; c++) {
            if (c->verb)
                buf_printf(out, "    \"%s %s\")\n        shift 2 words; (( CURRENT -= 2 ))\n", c->noun, c->verb);
            else
                buf_printf(out, "    \"%s \"*)\n        shift words; (( CURRENT -= 1 ))\n", c->noun);
            buf_add_text(out, "        _arguments");
            zsh_options(out, c->options);
            zsh_options(out, common_options);
            if (c->operands && strstr(c->operands, "FILE")) {
                buf_add_text(out, " \\\n            '*:file:_files'");
            } else if (c->operands && strchr(c->operands, '|')) {
                buf_add_text(out, " \\\n            '1:shell:(");
                add_values(out, c->operands);
                buf_add_text(out, ")'");
            }
            buf_add_text(out, " ;;\n");
        }
    }
    buf_add_text(out, "    esac\n"
                      "}\n"
                      "_topup \"$@\"\n");
}
