// SPDX-License-Identifier: Apache-2.0
#include "topup/config.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"

const struct config_name config_names[CONFIG_KEYS] = {
    [CONFIG_SERVER] = {"server", "TOPUP_SERVER", "origin of the server, such as https://connect.example"},
    [CONFIG_BASE_URL] = {"base_url", "BASE_URL", "base of the partner API, ending before /v2; default: the server"},
    [CONFIG_CLIENT_ID] = {"client_id", "CLIENT_ID", "a partner's client id"},
    [CONFIG_CLIENT_SECRET] = {"client_secret", "CLIENT_SECRET", "its secret"},
    [CONFIG_ADMIN_TOKEN] = {"admin_token", "TOPUP_ADMIN_TOKEN", "an operator's token"},
    [CONFIG_SANDBOX_CLIENT_ID] = {"sandbox_client_id", "SANDBOX_CLIENT_ID",
                                  "a sandbox partner's client id, for --sandbox and the sandbox's own commands"},
    [CONFIG_SANDBOX_CLIENT_SECRET] = {"sandbox_client_secret", "SANDBOX_CLIENT_SECRET", "its secret"},
    [CONFIG_REALM] = {"realm", "TOPUP_REALM", "realm of the token endpoint; default: tru-staff"},
    [CONFIG_COUNTRY] = {"country", "TOPUP_COUNTRY", "country that orders are placed in; default: GB"},
    [CONFIG_CA_FILE] = {"ca_file", "TOPUP_CA_FILE", "certificates that the server's is checked against; default: the system's"},
};

static bool is_secret(enum config_key key) {
    return key == CONFIG_CLIENT_SECRET || key == CONFIG_SANDBOX_CLIENT_SECRET || key == CONFIG_ADMIN_TOKEN;
}

static void assign(char **at, const char *value) {
    char *copy = value ? xstrdup(value) : NULL;
    free(*at);
    *at = copy;
}

void config_override(struct config *c, enum config_key key, const char *value) {
    assign(&c->value[key], value);
}

// The file's path, in memory of its own; NULL when neither XDG_CONFIG_HOME nor HOME says where.
static char *file_path(void) {
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    struct buf b;
    buf_init(&b, 4096);
    if (xdg && xdg[0] == '/')
        buf_printf(&b, "%s/topup/config", xdg);
    else if (home && home[0])
        buf_printf(&b, "%s/.config/topup/config", home);
    char *path = b.n > 0 && !b.failed ? xstrdup(b.p) : NULL;
    buf_release(&b);
    return path;
}

struct reading {
    struct config *config;
    struct err *err;
};

static int on_line(void *user, const char *section, const char *name, const char *value) {
    struct reading *r = user;
    if (section[0]) {
        err_add(r->err, ERR_INVALID, "%s: [%.40s]: there are no sections in this file", r->config->path, section);
        return 1;
    }
    for (int key = 0; key < CONFIG_KEYS; key++) {
        if (strcmp(name, config_names[key].name) == 0) {
            assign(&r->config->in_file[key], value);
            return 1;
        }
    }
    err_add(r->err, ERR_INVALID, "%s: %.40s: there is no such setting", r->config->path, name);
    return 1;
}

// The file, when there is one. What a secret is in must be nobody else's to read.
static enum err_kind read_file(struct config *c, struct err *err) {
    if (!c->path)
        return ERR_NONE;
    FILE *f = fopen(c->path, "re");
    if (!f)
        return errno == ENOENT || errno == ENOTDIR ? ERR_NONE : err_set(err, ERR_INVALID, "%s: %s", c->path, strerror(errno));
    struct stat st;
    if (fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode)) {
        fclose(f);
        return err_set(err, ERR_INVALID, "%s: is not a file", c->path);
    }
    struct reading r = {c, err};
    int line = ini_parse_file(f, on_line, &r);
    fclose(f);
    if (line != 0)
        err_add(err, ERR_INVALID, "%s:%d: is not a line of the form name = value", c->path, line);
    if (err->kind == ERR_NONE && (st.st_mode & 077) &&
        (c->in_file[CONFIG_CLIENT_SECRET] || c->in_file[CONFIG_SANDBOX_CLIENT_SECRET] || c->in_file[CONFIG_ADMIN_TOKEN]))
        err_add(err, ERR_INVALID, "%s: holds a secret, but others may read it (chmod 600 %s)", c->path, c->path);
    return err->kind;
}

enum err_kind config_load(struct config *c, struct err *err) {
    *c = (struct config){.path = file_path()};
    enum err_kind kind = read_file(c, err);
    for (int key = 0; key < CONFIG_KEYS; key++) {
        const char *text = getenv(config_names[key].variable);
        assign(&c->value[key], text && text[0] ? text : c->in_file[key]);
    }
    return kind;
}

// How long the origin is: "https://host:port" of "https://host:port/path". 0: not an address of ours.
static size_t origin_length(const char *url) {
    size_t scheme = strncmp(url, "http://", 7) == 0 ? 7 : strncmp(url, "https://", 8) == 0 ? 8 : 0;
    size_t host = scheme ? strcspn(url + scheme, "/?#") : 0;
    return host ? scheme + host : 0;
}

static void cut_slashes(char *url) {
    for (size_t n = strlen(url); n > 0 && url[n - 1] == '/'; n--)
        url[n - 1] = 0;
}

enum err_kind config_settle(struct config *c, struct err *err) {
    char **server = &c->value[CONFIG_SERVER], **base = &c->value[CONFIG_BASE_URL];
    if (!*server && !*base)
        assign(server, "http://127.0.0.1:8080");
    for (int key = CONFIG_SERVER; key <= CONFIG_BASE_URL; key++) {
        const char *url = c->value[key];
        if (url && (origin_length(url) == 0 || strpbrk(url, " \t\r\n?#")))
            err_add(err, ERR_INVALID, "%s (%s): \"%.200s\" is not an address such as https://connect.example", config_names[key].name,
                    config_names[key].variable, url);
        else if (url)
            cut_slashes(c->value[key]);
    }
    if (err->kind != ERR_NONE)
        return err->kind;
    if (!*base)
        assign(base, *server);
    if (!*server) {
        CHECK(*base);
        assign(server, *base);
        (*server)[origin_length(*base)] = 0;
    }
    size_t n = strlen(*base);
    if (n > 3 && strcmp(*base + n - 3, "/v2") == 0)
        (*base)[n - 3] = 0;
    if (!c->value[CONFIG_REALM])
        assign(&c->value[CONFIG_REALM], "tru-staff");
    if (!c->value[CONFIG_COUNTRY])
        assign(&c->value[CONFIG_COUNTRY], "GB");
    return ERR_NONE;
}

// The file's folders, as far as they are missing; its own is for its owner alone.
static bool make_folders(const char *path) {
    char *copy = xstrdup(path);
    bool made = true;
    for (char *slash = strchr(copy + 1, '/'); slash && made; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        made = mkdir(copy, 0700) == 0 || errno == EEXIST;
        *slash = '/';
    }
    free(copy);
    return made;
}

static bool write_all(int fd, struct str text) {
    while (text.n > 0) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text.p += n;
        text.n -= (size_t)n;
    }
    return true;
}

// What a line of the file can hold, so that it is read back as it was: inih cuts lines at 200 bytes, blanks at the ends and comments.
static bool storable(enum config_key key, const char *value) {
    struct str s = str_of(value);
    if (s.n == 0 || s.n + strlen(config_names[key].name) + 4 >= 198 || str_trim(s).n != s.n || value[0] == ';' || value[0] == '#')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || (i > 0 && s.p[i] == ';' && (s.p[i - 1] == ' ' || s.p[i - 1] == '\t')))
            return false;
    return true;
}

enum err_kind config_store(struct config *c, const char *const value[CONFIG_KEYS], struct err *err) {
    if (!c->path)
        return err_set(err, ERR_INVALID, "neither HOME nor XDG_CONFIG_HOME says where the configuration is");
    struct buf text, temporary;
    buf_init(&text, 16384);
    buf_init(&temporary, 8192);
    buf_add_text(&text, "# topup(1): written by `topup login`; may be edited.\n");
    for (int key = 0; key < CONFIG_KEYS; key++) {
        const char *v = value[key] ? value[key] : c->in_file[key];
        if (v && !storable((enum config_key)key, v))
            err_add(err, ERR_INVALID, "%s: this value cannot be kept in the configuration file; give it in %s", config_names[key].name,
                    config_names[key].variable);
        else if (v)
            buf_printf(&text, "%s = %s\n", config_names[key].name, v);
    }
    buf_printf(&temporary, "%s.%ld", c->path, (long)getpid());
    if (err->kind == ERR_NONE) {
        int fd = make_folders(c->path) ? open(temporary.p, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
        bool kept = fd >= 0 && write_all(fd, buf_str(&text)) && fsync(fd) == 0;
        int why = errno;
        if (fd >= 0 && close(fd) != 0 && kept) {
            kept = false;
            why = errno;
        }
        if (kept && rename(temporary.p, c->path) != 0) {
            kept = false;
            why = errno;
        }
        if (!kept) {
            if (fd >= 0)
                unlink(temporary.p);
            err_set(err, ERR_UNAVAILABLE, "%s: %s", c->path, strerror(why));
        }
    }
    buf_release(&text);
    buf_release(&temporary);
    return err->kind;
}

void config_release(struct config *c) {
    for (int key = 0; key < CONFIG_KEYS; key++) {
        char *held[] = {c->value[key], c->in_file[key]};
        for (size_t i = 0; i < ARRAY_LEN(held); i++) {
            if (held[i] && is_secret((enum config_key)key))
                explicit_bzero(held[i], strlen(held[i]));
            free(held[i]);
        }
    }
    free(c->path);
}
