/* Holds many clients of a stream open and tells when the last of them has heard a frame.
 *
 *   load PORT PATH NEEDLE
 *
 * Commands on standard input, one answer each on standard output; times are CLOCK_MONOTONIC in nanoseconds:
 *   open N    connect N more clients, some at a time    -> open P50 P99 LAST     when so many have had their first byte
 *   herd N    the same, all at once                     -> open P50 P99 LAST
 *   stall N   N clients that ask and never read         -> stalled
 *   expect    now count from here                       -> armed
 *                                                       -> heard P50 P99 LAST    once each has had one NEEDLE more
 *   drain     wait for the end of every stream          -> armed
 *                                                       -> drained P50 P99 LAST
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 512 /* connects under way at a time */
static const char *needle;

struct client {
    int descriptor;
    int matched; /* characters of the needle */
    int asked, answered, ended;
    long frames, wanted;
    long long at;
};

static struct client *clients;
static int count, opened, waiting, poller, port, draining;
static char request[512];
static long long *times;

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int by_time(const void *a, const void *b)
{
    long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

static void begin(struct client *c, int n)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    /* one source address has too few ports for more than 28,000 clients */
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + n / 20000)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u32 = n};
    int yes = 1;
    memset(c, 0, sizeof *c);
    c->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->descriptor < 0) fail("socket");
    setsockopt(c->descriptor, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &yes, sizeof yes);
    if (bind(c->descriptor, (struct sockaddr *)&from, sizeof from)) fail("bind");
    if (connect(c->descriptor, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) fail("connect");
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->descriptor, &event)) fail("epoll_ctl");
}

static void receive(struct client *c)
{
    static char buffer[65536];
    ssize_t size;
    while ((size = read(c->descriptor, buffer, sizeof buffer)) > 0) {
        for (ssize_t i = 0; i < size; i++) {
            c->matched = buffer[i] == needle[c->matched] ? c->matched + 1 : buffer[i] == needle[0];
            if (needle[c->matched]) continue;
            c->matched = 0;
            c->frames++;
            if (c->frames == c->wanted) {
                c->at = now();
                waiting--;
            }
        }
        if (!c->answered) {
            c->answered = 1;
            times[opened++] = now();
        }
    }
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (!draining && !c->answered) { /* refused, as where a queue was full: it comes again, as EventSource does */
        close(c->descriptor);
        begin(c, c - clients);
        return;
    }
    if (!draining) {
        fprintf(stderr, "the server ended a stream\n");
        exit(1);
    }
    close(c->descriptor);
    c->ended = 1;
    c->at = now();
    waiting--;
}

static void turn(int timeout)
{
    struct epoll_event events[1024];
    int n = epoll_wait(poller, events, 1024, timeout);
    for (int i = 0; i < n; i++) {
        struct client *c = &clients[events[i].data.u32];
        if (!c->asked && (events[i].events & EPOLLOUT)) {
            if (write(c->descriptor, request, strlen(request)) >= 0) c->asked = 1;
            else if (errno != ECONNRESET && errno != EPIPE) fail("write");
        }
        if (!c->ended && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) receive(c);
    }
}

static void tell(const char *what, long long *sorted, int n)
{
    qsort(sorted, n, sizeof *sorted, by_time);
    printf("%s %lld %lld %lld\n", what, sorted[n / 2], sorted[n * 99 / 100], sorted[n - 1]);
}

static void open_all(int more, int at_a_time)
{
    int target = count + more;
    clients = realloc(clients, target * sizeof *clients);
    times = realloc(times, target * sizeof *times);
    while (opened < target) {
        for (; count < target && count - opened < at_a_time; count++) begin(&clients[count], count);
        turn(1000);
    }
    tell("open", times + (target - more), more);
}

static void stall(int more)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int little = 4096;
    while (more--) {
        int descriptor = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
        if (connect(descriptor, (struct sockaddr *)&to, sizeof to)) fail("connect");
        if (write(descriptor, request, strlen(request)) < 0) fail("write");
    }
    printf("stalled\n");
}

static void await_all(const char *what)
{
    printf("armed\n");
    fflush(stdout);
    for (waiting = count; waiting;) turn(1000);
    for (int i = 0; i < count; i++) times[i] = clients[i].at;
    tell(what, times, count);
}

static void expect(void)
{
    for (int i = 0; i < count; i++) clients[i].wanted = clients[i].frames + 1;
    await_all("heard");
}

static void drain(void)
{
    draining = 1;
    await_all("drained");
}

int main(int argc, char **argv)
{
    char line[64];
    struct rlimit limit;
    if (argc != 4) {
        fprintf(stderr, "load PORT PATH NEEDLE\n");
        return 2;
    }
    port = atoi(argv[1]);
    needle = argv[3];
    signal(SIGPIPE, SIG_IGN); /* who is refused is seen when it is read */
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n", argv[2]);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    poller = epoll_create1(0);
    while (fgets(line, sizeof line, stdin)) {
        if (!strncmp(line, "open ", 5)) open_all(atoi(line + 5), BATCH);
        else if (!strncmp(line, "herd ", 5)) open_all(atoi(line + 5), 1 << 30);
        else if (!strncmp(line, "stall ", 6)) stall(atoi(line + 6));
        else if (!strncmp(line, "expect", 6)) expect();
        else if (!strncmp(line, "drain", 5)) drain();
        fflush(stdout);
    }
    return 0;
}
