/* The load generator for streams: one thread with epoll, one request in flight per connection.
 *
 *   streams PORT PATH CONNECTIONS WARM_MS WINDOW_MS EVENTS BODY
 *   streams PORT PATH CONNECTIONS hold 0 0 BODY
 *
 * It finds the "@SEQUENCE:NANOSECONDS;" of the stand-in engine anywhere in the body and prints one
 * JSON object: what arrived within the window, what was lost or out of order, times in
 * microseconds, and its own CPU time in seconds. With "hold" it opens the streams, prints "ready"
 * after the first event of each, and keeps them open until its stdin is closed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNS = 4096, READ_SIZE = 262144, READY = 512, HEAD_SIZE = 8192 };
enum { HEAD, SIZE, DATA, DATA_END, TRAILER };

typedef struct {
    int fd, state, whole, in_stamp, in_sequence, first_seen;
    char head[HEAD_SIZE];
    size_t head_len;
    long left, sequence, stamp, expected;
    long long sent_at;
} Conn;

typedef struct { unsigned *at; size_t count, room; } Samples;

static Conn conns[MAX_CONNS];
static char request[65536], buffer[READ_SIZE];
static size_t request_len;
static int port, epoll_fd, holding, started;
static long long window_from, window_to;
static long events, chunks, all_chunks, streams, broken, disordered, failed;
static Samples delays, firsts;

static long long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void sample(Samples *s, long long ns) {
    if (s->count == s->room) s->at = realloc(s->at, (s->room = s->room * 2 + 65536) * sizeof *s->at);
    s->at[s->count++] = ns < 0 ? 0 : ns / 10 > 4000000000LL ? 4000000000U : ns / 10;
}

static int ascending(const void *a, const void *b) {
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    return (x > y) - (x < y);
}

static double percentile_us(Samples *s, double share) {
    if (!s->count) return -1;
    qsort(s->at, s->count, sizeof *s->at, ascending);
    return s->at[(size_t)((s->count - 1) * share)] / 100.0;
}

static void send_request(Conn *c) {
    c->state = HEAD;
    c->head_len = c->in_stamp = c->in_sequence = c->first_seen = 0;
    c->expected = 0;
    c->sent_at = now_ns();
    if (write(c->fd, request, request_len) != (ssize_t)request_len) failed++;
}

static void open_connection(Conn *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) {
        perror("streams: can't connect");
        exit(1);
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
    send_request(c);
}

static void reconnect(Conn *c) {
    close(c->fd);
    failed++;
    if (failed > 1000) { fprintf(stderr, "streams: more than 1000 requests failed\n"); exit(1); }
    open_connection(c);
}

static void arrived(Conn *c, long long now) {
    int counts = now >= window_from && now < window_to;
    if (c->sequence != c->expected) disordered++;
    c->expected = c->sequence + 1;
    if (!c->first_seen) {
        c->first_seen = 1;
        started++;
        if (counts) sample(&firsts, now - c->sent_at);
    }
    all_chunks++;
    if (!counts) return;
    chunks++;
    sample(&delays, now - c->stamp);
}

/* Finds the marks in decoded body data. A mark may be split anywhere. */
static void scan(Conn *c, const char *p, const char *end, long long now) {
    while (p < end) {
        if (!c->in_sequence && !c->in_stamp) {
            if (!(p = memchr(p, '@', end - p))) return;
            c->in_sequence = 1;
            c->sequence = c->stamp = 0;
            p++;
        } else if (*p >= '0' && *p <= '9') {
            long *number = c->in_sequence ? &c->sequence : &c->stamp;
            *number = *number * 10 + (*p++ - '0');
        } else if (*p++ == ':') {
            c->in_sequence = 0;
            c->in_stamp = 1;
        } else {
            c->in_stamp = c->in_sequence = 0;
            arrived(c, now);
        }
    }
}

static void finished(Conn *c, long long now) {
    if (c->expected != events) broken++;
    if (now >= window_from && now < window_to) streams++;
    send_request(c);
}

/* Reads the head byte by byte; it is short. Returns how much of the input it used, or -1 if the
 * status isn't 200 or the head is too long. */
static long read_head(Conn *c, const char *p, const char *end) {
    const char *from = p;
    while (p < end && c->head_len < HEAD_SIZE - 1) {
        c->head[c->head_len++] = *p++;
        if (c->head_len < 4 || memcmp(c->head + c->head_len - 4, "\r\n\r\n", 4)) continue;
        c->head[c->head_len] = 0;
        char *length = strcasestr(c->head, "content-length:");
        if (strncmp(c->head + 8, " 200", 4)) return -1;
        c->whole = length != NULL;
        c->left = length ? atol(length + 15) : 0;
        c->state = length ? DATA : SIZE;
        return p - from;
    }
    return p < end ? -1 : p - from;
}

static void read_response(Conn *c) {
    ssize_t n = recv(c->fd, buffer, READ_SIZE, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) { reconnect(c); return; }
    long long now = now_ns();
    const char *p = buffer, *end = buffer + n;
    while (p < end) {
        if (c->state == HEAD) {
            long used = read_head(c, p, end);
            if (used < 0) { reconnect(c); return; }
            p += used;
        } else if (c->state == SIZE) {
            char b = *p++;
            if (b == '\n') c->state = c->left ? DATA : TRAILER;
            else if (b >= '0' && b <= '9') c->left = c->left * 16 + (b - '0');
            else if (b >= 'a' && b <= 'f') c->left = c->left * 16 + (b - 'a' + 10);
            else if (b >= 'A' && b <= 'F') c->left = c->left * 16 + (b - 'A' + 10);
        } else if (c->state == DATA) {
            long here = c->left < end - p ? c->left : end - p;
            scan(c, p, p + here, now);
            p += here;
            if (c->left -= here) continue;
            c->state = DATA_END;
            if (c->whole) finished(c, now);
        } else {
            int last = c->state == TRAILER;
            if (*p++ != '\n') continue;
            c->state = SIZE;
            c->left = 0;
            if (last) finished(c, now);
        }
    }
}

static void report(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec
        + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    printf("{\"chunks\":%ld,\"all_chunks\":%ld,\"seconds\":%.6f,\"streams\":%ld,\"broken\":%ld,\"disordered\":%ld,"
        "\"failed\":%ld,\"first_samples\":%zu,\"first_p50_us\":%.1f,\"first_p99_us\":%.1f,"
        "\"delay_p50_us\":%.1f,\"delay_p99_us\":%.1f,\"cpu_seconds\":%.6f}\n",
        chunks, all_chunks, (window_to - window_from) / 1e9, streams, broken, disordered, failed, firsts.count,
        percentile_us(&firsts, .5), percentile_us(&firsts, .99), percentile_us(&delays, .5),
        percentile_us(&delays, .99), cpu);
}

static void hold(int count) {
    if (started < count) return;
    printf("ready\n");
    fflush(stdout);
    while (read(0, buffer, READ_SIZE) > 0) {}
    exit(failed || disordered);
}

int main(int argc, char **argv) {
    if (argc != 8) { fprintf(stderr, "usage: see the head of streams.c\n"); return 2; }
    int count = atoi(argv[3]), opened = 0;
    port = atoi(argv[1]);
    holding = !strcmp(argv[4], "hold");
    events = atol(argv[6]);
    if (count < 1 || count > MAX_CONNS) return 2;
    request_len = snprintf(request, sizeof request,
        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
        "Content-Length: %zu\r\n\r\n%s", argv[2], port, strlen(argv[7]), argv[7]);
    long long from = now_ns(), warm = holding ? 0 : atol(argv[4]) * 1000000LL;
    window_from = from + warm;
    window_to = window_from + atol(argv[5]) * 1000000LL;
    epoll_fd = epoll_create1(0);
    struct epoll_event ready[READY];
    for (;;) {
        /* Streams start one after the other within half of the warm-up, so that they are out of step. */
        long long now = now_ns();
        while (opened < count && now - from >= opened * (warm / 2) / count) open_connection(&conns[opened++]);
        if (!holding && now >= window_to) break;
        int n = epoll_wait(epoll_fd, ready, READY, opened < count ? 1 : 20);
        for (int i = 0; i < n; i++) read_response(ready[i].data.ptr);
        if (holding) hold(count);
    }
    report();
    return 0;
}
