// SPDX-License-Identifier: Apache-2.0
/*
 * ceiling_http.c - what the HTTP library allows: libmicrohttpd with the smallest handler that takes an order's body and answers as many
 * bytes as the server does.
 *
 *   ceiling_http THREADS BYTES       prints its port, serves until standard input ends
 *
 * GET is answered with BYTES of body; POST too, when its body is there. Five headers, as long as the server's.
 */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct MHD_Response *answer;

static enum MHD_Result handle(void *cls, struct MHD_Connection *c, const char *url, const char *method, const char *version,
                              const char *data, size_t *size, void **state) {
    (void)cls, (void)url, (void)version, (void)data;
    static int seen;
    if (!*state) {
        *state = &seen;
        return MHD_YES;
    }
    if (*size) {
        *size = 0;
        return MHD_YES;
    }
    return MHD_queue_response(c, strcmp(method, "POST") == 0 ? MHD_HTTP_ACCEPTED : MHD_HTTP_OK, answer);
}

int main(int argc, char **argv) {
    unsigned threads = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;
    size_t bytes = argc > 2 ? strtoul(argv[2], NULL, 10) : 300;
    char *body = calloc(1, bytes);
    if (!body)
        return 1;
    memset(body, 'x', bytes);
    answer = MHD_create_response_from_buffer(bytes, body, MHD_RESPMEM_MUST_FREE);
    MHD_add_response_header(answer, "Content-Type", "application/json");
    MHD_add_response_header(answer, "Cache-Control", "no-store");
    MHD_add_response_header(answer, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(answer, "X-Correlation-ID", "01a20877-bc3d-7509-abeb-cb38fb000001");
    MHD_add_response_header(answer, "Location", "http://127.0.0.1:8080/v2/orders/01a20877-bc3d-7509-abeb-cb38fb000001");
    struct MHD_Daemon *d = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, handle, NULL, MHD_OPTION_THREAD_POOL_SIZE,
                                            threads > 1 ? threads : 0, MHD_OPTION_CONNECTION_LIMIT, 2000u, MHD_OPTION_END);
    if (!d)
        return 1;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT);
    printf("%u\n", info ? info->port : 0);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    MHD_stop_daemon(d);
    MHD_destroy_response(answer);
    return 0;
}
