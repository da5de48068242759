/* The scripted engine: one thread with epoll, and a fixed reply to every request.
 *
 *   engine PORT
 *
 * A prompt with "events=N gap_us=G" determines the stream: N events, one every G microseconds,
 * or as fast as the client reads them if G is 0. Each event is one transfer chunk and one write,
 * as from an engine that has just sampled a token. The streams are served round-robin. An event's
 * content is "@SEQUENCE:NANOSECONDS;" with the time of the monotonic clock, from which the load
 * generator computes what was lost or reordered and how long each event took.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FD = 65536, READ_SIZE = 65536, OUT_SIZE = 4096, READY = 512 };

typedef struct {
    int open, blocked, active_index;
    char *in;
    size_t in_len;
    char out[OUT_SIZE];
    size_t out_len;
    long events, sent, gap_ns;
    long long due;
} Conn;

static Conn conns[MAX_FD];
static int active[MAX_FD], active_count, epoll_fd;

#define CHUNK_HEAD "data: {\"id\":\"1\",\"choices\":[{\"finish_reason\":"
#define USAGE "{\"completion_tokens\":%ld,\"prompt_tokens\":11,\"total_tokens\":%ld," \
    "\"avg_tok_per_sec\":50.0,\"avg_prompt_tok_per_sec\":50.0,\"avg_compl_tok_per_sec\":50.0," \
    "\"total_time_sec\":1.0,\"total_prompt_time_sec\":0.013,\"total_completion_time_sec\":0.987}"
static const char STREAM_HEAD[] =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    "transfer-encoding: chunked\r\n\r\n";
static const char MODELS[] =
    "{\"object\":\"list\",\"data\":[{\"id\":\"default\",\"object\":\"model\",\"created\":1,"
    "\"owned_by\":\"local\"},{\"id\":\"bench\",\"object\":\"model\",\"created\":1,"
    "\"owned_by\":\"local\",\"status\":\"loaded\"}]}";
static const char COMPLETION[] =
    "{\"id\":\"1\",\"choices\":[{\"finish_reason\":\"stop\",\"index\":0,\"message\":{"
    "\"content\":\"The sky is blue because air scatters short waves of light more than long "
    "ones.\",\"role\":\"assistant\",\"tool_calls\":null},\"logprobs\":null}],\"created\":1,"
    "\"model\":\"bench\",\"system_fingerprint\":\"local\",\"object\":\"chat.completion\","
    "\"usage\":{\"completion_tokens\":16,\"prompt_tokens\":11,\"total_tokens\":27,"
    "\"avg_tok_per_sec\":50.0,\"avg_prompt_tok_per_sec\":50.0,\"avg_compl_tok_per_sec\":50.0,"
    "\"total_time_sec\":0.5,\"total_prompt_time_sec\":0.1,\"total_completion_time_sec\":0.4}}";

static long long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void watch(int fd, unsigned events, int how) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    epoll_ctl(epoll_fd, how, fd, &event);
}

static void deactivate(Conn *c) {
    if (c->active_index < 0) return;
    int last = active[--active_count];
    active[c->active_index] = last;
    conns[last].active_index = c->active_index;
    c->active_index = -1;
}

static void drop(int fd) {
    Conn *c = &conns[fd];
    deactivate(c);
    free(c->in);
    memset(c, 0, sizeof *c);
    close(fd);
}

/* Writes pending output. Returns 0 if all was written, 1 if the client's buffer is full, -1 if the
 * client has disconnected. */
static int flush_out(int fd) {
    Conn *c = &conns[fd];
    ssize_t n = write(fd, c->out, c->out_len);
    if (n < 0 && errno != EAGAIN) return -1;
    if (n > 0) memmove(c->out, c->out + n, c->out_len -= n);
    int full = c->out_len > 0;
    if (full != c->blocked) watch(fd, EPOLLIN | (full ? EPOLLOUT : 0), EPOLL_CTL_MOD);
    c->blocked = full;
    return full;
}

static void reply(Conn *c, const char *status, const char *body) {
    c->out_len += snprintf(c->out + c->out_len, OUT_SIZE - c->out_len,
        "HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
        status, strlen(body), body);
}

static void frame(Conn *c, const char *data, int n, const char *end) {
    c->out_len += snprintf(c->out + c->out_len, OUT_SIZE - c->out_len, "%x\r\n%.*s\r\n%s", n, n,
        data, end);
}

static char *put(char *to, const char *text, size_t length) { return (char *)memcpy(to, text, length) + length; }

static char *put_number(char *to, unsigned long long number, int base) {
    char digits[24], *from = digits + sizeof digits;
    do *--from = "0123456789abcdef"[number % base]; while (number /= base);
    return put(to, from, digits + sizeof digits - from);
}

/* Writes an event without printf, which would cost a good part of a write. */
static void put_event(Conn *c, long long now) {
    static const char before[] = CHUNK_HEAD "null,\"index\":0,\"delta\":{\"content\":\"@";
    static const char after[] = ";\",\"role\":\"assistant\",\"tool_calls\":null},\"logprobs\":null}],"
        "\"created\":1,\"model\":\"bench\",\"system_fingerprint\":\"local\","
        "\"object\":\"chat.completion.chunk\",\"usage\":null}\n\n";
    char mark[64], *end = put_number(mark, c->sent++, 10);
    *end++ = ':';
    end = put_number(end, now, 10);
    size_t size = sizeof before - 1 + (end - mark) + sizeof after - 1;
    char *to = put_number(c->out + c->out_len, size, 16);
    to = put(put(to, "\r\n", 2), before, sizeof before - 1);
    to = put(put(to, mark, end - mark), after, sizeof after - 1);
    c->out_len = put(to, "\r\n", 2) - c->out;
    c->due += c->gap_ns;
}

static void put_end(Conn *c) {
    char text[1024];
    frame(c, text, snprintf(text, sizeof text,
        CHUNK_HEAD "\"stop\",\"index\":0,\"delta\":{\"content\":\"\",\"role\":\"assistant\","
        "\"tool_calls\":null},\"logprobs\":null}],\"created\":1,\"model\":\"bench\","
        "\"object\":\"chat.completion.chunk\",\"usage\":" USAGE "}\n\n", c->sent, c->sent + 11), "");
    frame(c, "data: [DONE]\n\n", 14, "0\r\n\r\n");
    deactivate(c);
}

static long number_after(const char *body, const char *name, long absent) {
    const char *at = strstr(body, name);
    return at ? strtol(at + strlen(name), NULL, 10) : absent;
}

static void start_stream(int fd, const char *body) {
    Conn *c = &conns[fd];
    memcpy(c->out + c->out_len, STREAM_HEAD, sizeof STREAM_HEAD - 1);
    c->out_len += sizeof STREAM_HEAD - 1;
    c->events = number_after(body, "events=", 200);
    c->gap_ns = number_after(body, "gap_us=", 0) * 1000;
    c->sent = 0;
    c->due = now_ns();
    c->active_index = active_count;
    active[active_count++] = fd;
}

/* Replies to each complete request in the buffer. A stream blocks the next one until it ends. */
static int serve(int fd) {
    Conn *c = &conns[fd];
    char *end;
    while (c->active_index < 0 && c->in_len && (end = memmem(c->in, c->in_len, "\r\n\r\n", 4))) {
        *end = 0;
        char *length = strcasestr(c->in, "content-length:");
        size_t body_len = length ? strtoul(length + 15, NULL, 10) : 0;
        size_t total = end + 4 - c->in + body_len;
        *end = '\r';
        if (c->in_len < total) return 0;
        char saved = c->in[total];
        c->in[total] = 0;
        char *body = end + 4;
        if (!strncmp(c->in, "GET /v1/models", 14)) reply(c, "200 OK", MODELS);
        else if (strncmp(c->in, "POST /v1/chat/completions", 25)) reply(c, "404 Not Found", "{}");
        else if (strstr(body, "\"stream\":true") || strstr(body, "\"stream\": true"))
            start_stream(fd, body);
        else reply(c, "200 OK", COMPLETION);
        c->in[total] = saved;
        memmove(c->in, c->in + total, c->in_len -= total);
        if (flush_out(fd) < 0) return -1;
    }
    return 0;
}

static int read_requests(int fd) {
    Conn *c = &conns[fd];
    c->in = realloc(c->in, c->in_len + READ_SIZE + 1);
    ssize_t n = read(fd, c->in + c->in_len, READ_SIZE);
    if (n <= 0) return n < 0 && errno == EAGAIN ? 0 : -1;
    c->in_len += n;
    return serve(fd);
}

/* Advances every active stream. Returns when the next event is due, -1 if none is. */
static long long advance_streams(void) {
    long long now = now_ns(), next = -1;
    for (int i = active_count - 1; i >= 0; i--) {
        int fd = active[i];
        Conn *c = &conns[fd];
        if (c->blocked) continue;
        if (c->due <= now) {
            if (c->sent == c->events) put_end(c);
            else put_event(c, now_ns());
            if (flush_out(fd) < 0) { drop(fd); continue; }
        }
        if (c->active_index < 0) { if (serve(fd) < 0) drop(fd); continue; }
        if (!c->blocked && (next < 0 || c->due < next)) next = c->due;
    }
    return next;
}

static void accept_clients(int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MAX_FD) { close(fd); continue; }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        conns[fd].open = 1;
        conns[fd].active_index = -1;
        watch(fd, EPOLLIN, EPOLL_CTL_ADD);
    }
}

static int listen_on(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) {
        perror("engine: can't listen");
        exit(1);
    }
    return fd;
}

/* Sets the timer to `next`. Returns the timeout for epoll_wait: 0 if that time has passed. */
static int set_timer(int timer, long long next) {
    if (next >= 0 && next <= now_ns()) return 0;
    struct itimerspec at = {0};
    if (next > 0) {
        at.it_value.tv_sec = next / 1000000000LL;
        at.it_value.tv_nsec = next % 1000000000LL;
    }
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
    return -1;
}

int main(int argc, char **argv) {
    if (argc != 2) { fprintf(stderr, "usage: engine PORT\n"); return 2; }
    signal(SIGPIPE, SIG_IGN);
    epoll_fd = epoll_create1(0);
    int listener = listen_on(atoi(argv[1])), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    watch(listener, EPOLLIN, EPOLL_CTL_ADD);
    watch(timer, EPOLLIN, EPOLL_CTL_ADD);
    struct epoll_event ready[READY];
    for (;;) {
        long long next = active_count ? advance_streams() : -1;
        int count = epoll_wait(epoll_fd, ready, READY, set_timer(timer, next));
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            unsigned long long expirations;
            if (fd == listener) accept_clients(listener);
            else if (fd == timer) (void)!read(timer, &expirations, sizeof expirations);
            else if (!conns[fd].open) continue;
            else if (ready[i].events & EPOLLOUT && flush_out(fd) < 0) drop(fd);
            else if (ready[i].events & ~EPOLLOUT && read_requests(fd) < 0) drop(fd);
        }
    }
}
