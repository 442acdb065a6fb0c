/* The physical limit: accepts clients, answers with a head, at SIGUSR1 writes one frame to each, ends at SIGTERM.
 *
 *   writer PORT FRAME
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
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

static const char HEAD[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
                           "transfer-encoding: chunked\r\n\r\n";

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN}, events[1024];
    struct signalfd_siginfo signal_info;
    struct rlimit limit;
    sigset_t signals;
    char buffer[65536], chunk[65536];
    int *clients = NULL, count = 0, capacity = 0, yes = 1, size;
    if (argc != 3) return 2;
    size = snprintf(chunk, sizeof chunk, "%zx\r\n%s\r\n", strlen(argv[2]), argv[2]);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    at.sin_port = htons(atoi(argv[1]));
    int poller = epoll_create1(0), told = signalfd(-1, &signals, SFD_NONBLOCK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) {
        perror("listen");
        return 1;
    }
    event.data.fd = listener;
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    event.data.fd = told;
    epoll_ctl(poller, EPOLL_CTL_ADD, told, &event);
    for (;;) {
        int n = epoll_wait(poller, events, 1024, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int client;
                while ((client = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
                    event.data.fd = client;
                    epoll_ctl(poller, EPOLL_CTL_ADD, client, &event);
                }
            } else if (fd == told) {
                while (read(told, &signal_info, sizeof signal_info) > 0) {
                    if (signal_info.ssi_signo == SIGTERM) return 0;
                    for (int c = 0; c < count; c++)
                        if (write(clients[c], chunk, size) < 0 && errno != EAGAIN) clients[c] = -1;
                }
            } else {
                ssize_t got = read(fd, buffer, sizeof buffer);
                if (got <= 0) {
                    close(fd);
                    continue;
                }
                if (write(fd, HEAD, sizeof HEAD - 1) < 0) continue;
                if (count == capacity) clients = realloc(clients, (capacity = 2 * capacity + 1024) * sizeof *clients);
                clients[count++] = fd;
            }
        }
    }
}
