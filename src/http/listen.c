// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/http.h"

// "[::1]:80" and "127.0.0.1:80" to host and port, both terminated.
static bool address_split(struct str address, char host[HTTP_ADDRESS_TEXT], char port[8]) {
    const char *colon = str_present(address) ? memrchr(address.p, ':', address.n) : NULL;
    if (!colon)
        return false;
    struct str h = {address.p, (size_t)(colon - address.p)};
    struct str p = {colon + 1, address.n - h.n - 1};
    if (h.n > 1 && h.p[0] == '[' && h.p[h.n - 1] == ']')
        h = (struct str){h.p + 1, h.n - 2};
    uint64_t number;
    return h.n > 0 && str_to_u64(p, &number) && number <= 65535 && str_to_buf(h, host, HTTP_ADDRESS_TEXT) && str_to_buf(p, port, 8);
}

static bool bound_address(int fd, char bound[HTTP_ADDRESS_TEXT]) {
    struct sockaddr_storage at = {.ss_family = AF_UNSPEC};
    socklen_t n = sizeof at;
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getsockname(fd, (struct sockaddr *)&at, &n) != 0 ||
        getnameinfo((struct sockaddr *)&at, n, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return false;
    int len = snprintf(bound, HTTP_ADDRESS_TEXT, at.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    return len > 0 && len < HTTP_ADDRESS_TEXT;
}

enum err_kind http_listen(const char *address, int *fd, char bound[HTTP_ADDRESS_TEXT], struct err *err) {
    char host[HTTP_ADDRESS_TEXT], port[8];
    if (!address_split(str_of(address), host, port))
        return err_set(err, ERR_INVALID, "listen: \"%.80s\" is not ADDRESS:PORT", address);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found;
    int rc = getaddrinfo(host, port, &hints, &found);
    if (rc != 0)
        return err_set(err, ERR_INVALID, "listen: %s: %s", host, gai_strerror(rc));
    int s = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
    bool listening = s >= 0 && setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                     setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 && bind(s, found->ai_addr, found->ai_addrlen) == 0 &&
                     listen(s, SOMAXCONN) == 0 && bound_address(s, bound);
    int why = errno;
    freeaddrinfo(found);
    if (!listening) {
        if (s >= 0)
            close(s);
        return err_set(err, ERR_UNAVAILABLE, "listen: cannot listen on %s: %s", address, strerror(why));
    }
    *fd = s;
    return ERR_NONE;
}
