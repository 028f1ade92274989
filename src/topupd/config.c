// SPDX-License-Identifier: Apache-2.0
#include "topupd/config.h"

#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "store/store_node.h"

// One row of the table: where a setting lives in struct config, and what it may be.
struct setting {
    const char *name;
    bool is_text;
    size_t offset;
    const char *text_default;
    int64_t int_default, min, max;
    const char *sentence;
};

static const struct setting settings[] = {
#define SETTING_TEXT(name, def, sentence) {#name, true, offsetof(struct config, name), def, 0, 0, 0, sentence},
#define SETTING_INT(name, def, min, max, sentence) {#name, false, offsetof(struct config, name), NULL, def, min, max, sentence},
#include "topupd/config.def"
#undef SETTING_TEXT
#undef SETTING_INT
};

static char **text_at(struct config *c, const struct setting *s) {
    return (char **)(void *)((char *)c + s->offset);
}

static int64_t *int_at(struct config *c, const struct setting *s) {
    return (int64_t *)(void *)((char *)c + s->offset);
}

void config_init(struct config *c) {
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        const struct setting *s = &settings[i];
        if (s->is_text)
            *text_at(c, s) = xstrdup(s->text_default);
        else
            *int_at(c, s) = s->int_default;
    }
}

void config_release(struct config *c) {
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        if (settings[i].is_text) {
            free(*text_at(c, &settings[i]));
            *text_at(c, &settings[i]) = NULL;
        }
    }
}

static const struct setting *setting_find(struct str name) {
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        if (str_is(name, settings[i].name))
            return &settings[i];
    }
    return NULL;
}

// `where` begins the message: "topupd.conf:12: " or "".
static enum err_kind setting_assign(struct config *c, const struct setting *s, const char *value, const char *where, struct err *err) {
    if (s->is_text) {
        free(*text_at(c, s));
        *text_at(c, s) = xstrdup(value);
        return ERR_NONE;
    }
    int64_t number;
    if (!str_to_i64(str_trim(str_of(value)), &number) || number < s->min || number > s->max)
        return err_add(err, ERR_INVALID, "%s%s: must be a whole number from %lld to %lld, not \"%.40s\"", where, s->name, (long long)s->min,
                       (long long)s->max, value);
    *int_at(c, s) = number;
    return ERR_NONE;
}

#define LINE_MAX_BYTES 8192

// inih takes 199 bytes of a line and the rest for another line, and a connection string has more. So it is given a long line in pieces,
// each but the first as what it knows as a continuation: indented.
struct source {
    FILE *file;
    char *line, *rest; // what getline made; what of it is still to be given
    size_t size;
    int lines;
    bool joins; // the last piece went on with the one before
};

struct reading {
    struct config *config;
    const char *path;
    struct err *err;
    struct source source;
    bool seen[ARRAY_LEN(settings)];
};

// Cuts off a comment, of which only a short one would be left to inih.
static void uncomment(char *line) {
    size_t indent = strspn(line, " \t");
    if (line[indent] == '#' || line[indent] == ';') {
        line[indent + 1] = '\0';
        return;
    }
    for (char *p = line; (p = strchr(p, ';')); p++) {
        if (p > line && (p[-1] == ' ' || p[-1] == '\t')) {
            *p = '\0';
            return;
        }
    }
}

static char *next_piece(char *out, int size, void *stream) {
    struct source *s = stream;
    s->joins = s->rest && *s->rest;
    if (!s->joins) {
        ssize_t n = getline(&s->line, &s->size, s->file);
        if (n < 0)
            return NULL;
        s->lines++;
        uncomment(s->line);
        s->line[strcspn(s->line, "\r\n")] = '\0';
        s->rest = s->line;
        if (n > LINE_MAX_BYTES)
            memcpy(s->line, "?", 2); // no line of the form name = value
    }
    size_t n = strlen(s->rest), room = (size_t)size - 2;
    if (n > room) // not where a blank or the mark of a comment would be taken for one
        for (n = room; n > 1 && strchr(" \t#;", s->rest[n]); n--)
            ;
    for (; n > 1 && s->rest[n] && strchr(" \t", s->rest[n - 1]); n--)
        ;
    snprintf(out, (size_t)size, "%s%.*s", s->joins ? " " : "", (int)n, s->rest);
    s->rest += n;
    return out;
}

static bool source_open(struct source *s, const char *path) {
    *s = (struct source){.file = fopen(path, "re")};
    return s->file;
}

static void source_close(struct source *s) {
    fclose(s->file);
    free(s->line);
}

// The line that the nth piece belongs to.
static int line_of(const char *path, int piece) {
    struct source s;
    char out[200];
    if (!source_open(&s, path))
        return 0;
    while (piece-- > 0 && next_piece(out, sizeof out, &s))
        ;
    int line = s.lines;
    source_close(&s);
    return line;
}

static void append(char **text, const char *more) {
    size_t n = strlen(*text), m = strlen(more);
    char *whole = xmalloc(n + m + 1);
    memcpy(whole, *text, n);
    memcpy(whole + n, more, m + 1);
    free(*text);
    *text = whole;
}

// Debian builds inih without line numbers: messages name the file and the setting.
static int on_line(void *user, const char *section, const char *name, const char *value) {
    struct reading *r = user;
    char where[512];
    snprintf(where, sizeof where, "%s: ", r->path);
    if (section[0]) {
        err_add(r->err, ERR_INVALID, "%s[%.40s]: there are no sections here", where, section);
        return 1;
    }
    const struct setting *s = setting_find(str_of(name));
    if (!s) {
        err_add(r->err, ERR_INVALID, "%s%.40s: there is no such setting", where, name);
        return 1;
    }
    bool *seen = &r->seen[s - settings];
    if (r->source.joins && s->is_text)
        append(text_at(r->config, s), value);
    else if (*seen)
        err_add(r->err, ERR_INVALID, "%s%s: given twice", where, name);
    else
        (void)setting_assign(r->config, s, value, where, r->err);
    *seen = true;
    return 1;
}

enum err_kind config_read(struct config *c, const char *path, struct err *err) {
    if (!path)
        return ERR_NONE;
    struct reading r = {.config = c, .path = path, .err = err};
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) // to inih an empty file
        return err_add(err, ERR_INVALID, "%s: is a folder", path);
    if (!source_open(&r.source, path))
        return err_add(err, ERR_INVALID, "%s: cannot be read", path);
    int rc = ini_parse_stream(next_piece, &r.source, on_line, &r);
    source_close(&r.source);
    if (rc)
        err_add(err, ERR_INVALID, "%s:%d: is not a line of the form name = value", path, line_of(path, rc));
    return err->kind;
}

enum err_kind config_set(struct config *c, const char *assignment, struct err *err) {
    struct str name, value = str_cut(str_of(assignment), '=', &name);
    const struct setting *s = setting_find(str_trim(name));
    if (!s)
        return err_add(err, ERR_INVALID, STR_FMT ": there is no such setting", STR_ARG(name));
    if (!str_present(value))
        return err_add(err, ERR_INVALID, "%s: must be given as %s=VALUE", s->name, s->name);
    return setting_assign(c, s, value.p, "", err); // value reaches to the end of `assignment`: terminated
}

static bool is_address(const char *text) {
    const char *colon = strrchr(text, ':');
    int64_t port;
    return colon && colon > text && str_to_i64(str_of(colon + 1), &port) && port >= 0 && port <= 65535;
}

// A file that the server will want to read.
static void check_file(const char *name, const char *path, struct err *err) {
    if (path[0] && access(path, R_OK) != 0)
        err_add(err, ERR_INVALID, "%s: %s: %s", name, path, strerror(errno));
}

int config_role(const struct config *c) {
    for (int i = 0; node_role_words[i]; i++)
        if (strcmp(c->role, node_role_words[i]) == 0)
            return i;
    return -1;
}

enum err_kind config_check(const struct config *c, struct err *err) {
    enum log_level level;
    if (!log_level_parse(str_of(c->log_level), &level))
        err_add(err, ERR_INVALID, "log_level: must be debug, info, warn or error, not \"%.40s\"", c->log_level);
    if (!is_address(c->listen))
        err_add(err, ERR_INVALID, "listen: must be ADDRESS:PORT, such as 127.0.0.1:8080");
    if (!c->store[0])
        err_add(err, ERR_INVALID, "store: must name a folder, or a database as postgresql://...");
    if (!c->realm[0] || strpbrk(c->realm, "/?#% "))
        err_add(err, ERR_INVALID, "realm: must be one path segment");
    struct str base = str_of(c->base_url);
    if (base.n && !str_starts(base, "http://") && !str_starts(base, "https://"))
        err_add(err, ERR_INVALID, "base_url: must begin with http:// or https://");
    if (str_ends(base, "/") || str_ends(base, "/v2"))
        err_add(err, ERR_INVALID, "base_url: must end before /v2, without a slash");
    if (!c->tls_certificate[0] != !c->tls_key[0])
        err_add(err, ERR_INVALID, "tls_certificate and tls_key: must be given together");
    check_file("tls_certificate", c->tls_certificate, err);
    check_file("tls_key", c->tls_key, err);
    check_file("outside_keys_file", c->outside_keys_file, err);
    check_file("network_script", c->network_script, err);
    if (!c->outside_issuer[0] && c->outside_keys_file[0])
        err_add(err, ERR_INVALID, "outside_issuer: must be set when outside_keys_file is");
    if (c->outside_issuer[0] && (!c->outside_keys_file[0] || !c->outside_audience[0] || !c->outside_client_claim[0]))
        err_add(err, ERR_INVALID, "outside_issuer: needs outside_keys_file, outside_audience and outside_client_claim, too");
    if (strcmp(c->network, "builtin") != 0 && strcmp(c->network, "fake") != 0)
        err_add(err, ERR_INVALID, "network: must be builtin or fake, not \"%.40s\"", c->network);
    if (config_role(c) < 0)
        err_add(err, ERR_INVALID, "role: must be all, api or engine, not \"%.40s\"", c->role);
    else if (config_role(c) != NODE_ALL && !store_is_remote(c->store))
        err_add(err, ERR_INVALID, "role: must be all with the embedded store, which no other node can open");
    if (c->call_timeout_seconds >= c->lease_seconds)
        err_add(err, ERR_INVALID, "call_timeout_seconds: must be less than lease_seconds");
    return err->kind;
}

void config_sample(struct buf *out) {
    buf_add_text(out, "# topupd.conf - every setting with its default. Lines that begin with # are comments.\n");
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        const struct setting *s = &settings[i];
        if (s->is_text)
            buf_printf(out, "\n# %s\n#%s = %s\n", s->sentence, s->name, s->text_default);
        else
            buf_printf(out, "\n# %s From %lld to %lld.\n#%s = %lld\n", s->sentence, (long long)s->min, (long long)s->max, s->name,
                       (long long)s->int_default);
    }
}
