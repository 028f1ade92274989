// SPDX-License-Identifier: Apache-2.0
/*
 * url.c - what a URL shows by its text alone. The form is looked at with the eyes of a strict reader, so that other readers of the same
 * text (libcurl) cannot find another host in it.
 */
#include "http/address.h"
#include "http/client.h"

static bool is_alnum(char ch) {
    return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
}

// What stands between scheme and path; STR_NONE unless the scheme is http or https.
static struct str authority_of(struct str url) {
    static const char *const schemes[] = {"https://", "http://"};
    struct str rest = STR_NONE;
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        size_t n = strlen(schemes[i]);
        if (url.n > n && str_eq_nocase((struct str){url.p, n}, str_of(schemes[i])))
            rest = (struct str){url.p + n, url.n - n};
    }
    size_t end = 0;
    while (end < rest.n && !memchr("/?#\\", rest.p[end], 4))
        end++;
    rest.n = end;
    return rest;
}

struct parts {
    struct str user, host, port; // user with its password; STR_NONE when absent
};

static struct parts parts_of(struct str authority) {
    struct parts p = {STR_NONE, authority, STR_NONE};
    for (size_t i = authority.n; i > 0; i--) // user and password, as the receiver wants them, may hold an '@'
        if (authority.p[i - 1] == '@') {
            p.user = (struct str){authority.p, i - 1};
            p.host = (struct str){authority.p + i, authority.n - i};
            break;
        }
    // A port stands behind the last colon, unless that belongs to an IPv6 address.
    for (size_t i = p.host.n; i > 0 && p.host.p[i - 1] != ']'; i--)
        if (p.host.p[i - 1] == ':') {
            p.port = (struct str){p.host.p + i, p.host.n - i};
            p.host.n = i - 1;
            break;
        }
    return p;
}

static bool in_brackets(struct str host) {
    return host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
}

// A name, an IPv4 address, or an IPv6 address in brackets.
static bool host_well_formed(struct str host) {
    bool brackets = in_brackets(host);
    if (brackets)
        host = (struct str){host.p + 1, host.n - 2};
    if (host.n == 0 || host.n > 253)
        return false;
    for (size_t i = 0; i < host.n; i++)
        if (!is_alnum(host.p[i]) && !strchr(brackets ? ":." : "-._", host.p[i]))
            return false;
    return true;
}

static bool port_well_formed(struct str port) {
    uint64_t number;
    return port.n == 0 || (str_to_u64(port, &number) && number > 0 && number <= 65535);
}

const char *http_url_fault(struct str url) {
    if (url.n > HTTP_URL_MAX)
        return "must be at most 2048 bytes";
    for (size_t i = 0; i < url.n; i++)
        if (url.p[i] <= ' ' || url.p[i] >= 0x7f)
            return "must be ASCII without blanks; escape other characters";
    struct str authority = authority_of(url);
    if (!str_present(authority))
        return "must be an absolute URL, http or https";
    struct parts p = parts_of(authority);
    if (!host_well_formed(p.host) || !port_well_formed(p.port))
        return "must have a host, and a port from 1 to 65535 if any";
    return NULL;
}

struct str http_url_host(struct str url) {
    struct str authority = authority_of(url);
    return str_present(authority) ? parts_of(authority).host : STR("");
}

bool http_url_has_credentials(struct str url) {
    struct str authority = authority_of(url);
    return str_present(authority) && str_present(parts_of(authority).user);
}

bool http_url_public(struct str url) {
    struct str host = http_url_host(url);
    if (in_brackets(host))
        return address_text_public((struct str){host.p + 1, host.n - 2});
    if (str_ends(host, "."))
        host.n--;
    static const struct str local = {"localhost", 9};
    struct str end = host.n >= local.n ? (struct str){host.p + host.n - local.n, local.n} : host;
    if (str_eq_nocase(end, local) && (host.n == local.n || host.p[host.n - local.n - 1] == '.'))
        return false;
    return address_text_public(host);
}
