/* Holds many clients of a stream open and tells when the last of them has heard a frame.
 *
 *   load PORT PATH
 *
 * Commands on standard input, one answer each on standard output; times are CLOCK_MONOTONIC in nanoseconds:
 *   open N    connect N more clients          -> open FIRST LAST    when one, and when all have had their first byte
 *   expect    now count from here             -> armed
 *                                             -> heard FIRST P50 P99 LAST    once each client has had one frame more
 *   close     end all                         -> closed
 * A frame is what has one line that begins with "data:".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 512 /* connects under way at a time */
static const char NEEDLE[] = "data:";

struct client {
    int descriptor;
    int matched; /* characters of NEEDLE */
    int asked, answered;
    long frames, wanted;
    long long at;
};

static struct client *clients;
static int count, opened, waiting, poller, port;
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
            c->matched = buffer[i] == NEEDLE[c->matched] ? c->matched + 1 : buffer[i] == NEEDLE[0];
            if (NEEDLE[c->matched]) continue;
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
    if (size == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
        fprintf(stderr, "the server ended a stream\n");
        exit(1);
    }
}

static void turn(int timeout)
{
    struct epoll_event events[1024];
    int n = epoll_wait(poller, events, 1024, timeout);
    for (int i = 0; i < n; i++) {
        struct client *c = &clients[events[i].data.u32];
        if (!c->asked && (events[i].events & EPOLLOUT)) {
            if (write(c->descriptor, request, strlen(request)) < 0) fail("write");
            c->asked = 1;
        }
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(c);
    }
}

static void open_all(int more)
{
    int target = count + more;
    long long *sorted;
    clients = realloc(clients, target * sizeof *clients);
    times = realloc(times, target * sizeof *times);
    while (opened < target) {
        for (; count < target && count - opened < BATCH; count++) begin(&clients[count], count);
        turn(1000);
    }
    sorted = times + (target - more);
    qsort(sorted, more, sizeof *sorted, by_time);
    printf("open %lld %lld\n", sorted[0], sorted[more - 1]);
}

static void expect(void)
{
    for (int i = 0; i < count; i++) clients[i].wanted = clients[i].frames + 1;
    waiting = count;
    printf("armed\n");
    fflush(stdout);
    while (waiting) turn(1000);
    for (int i = 0; i < count; i++) times[i] = clients[i].at;
    qsort(times, count, sizeof *times, by_time);
    printf("heard %lld %lld %lld %lld\n", times[0], times[count / 2], times[count * 99 / 100], times[count - 1]);
}

int main(int argc, char **argv)
{
    char line[64];
    struct rlimit limit;
    if (argc != 3) {
        fprintf(stderr, "load PORT PATH\n");
        return 2;
    }
    port = atoi(argv[1]);
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n", argv[2]);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    poller = epoll_create1(0);
    while (fgets(line, sizeof line, stdin)) {
        if (!strncmp(line, "open ", 5)) open_all(atoi(line + 5));
        else if (!strncmp(line, "expect", 6)) expect();
        else if (!strncmp(line, "close", 5)) break;
        fflush(stdout);
    }
    return 0;
}
