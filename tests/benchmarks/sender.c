/* Sends prepared datagrams at an even pace. Usage: sender FILE RATE INTERFACE GROUP:PORT...
 *
 * FILE: per datagram u16 destination, u16 length (both little endian), then the bytes. RATE: datagrams a second.
 * Each datagram has its own due time, start + i / RATE; the sender sleeps until then and never runs ahead. At its end
 * it prints one line: datagrams sent, seconds, the longest time that it was late, in microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: sender FILE RATE INTERFACE GROUP:PORT...\n");
        return 64;
    }
    int file = open(argv[1], O_RDONLY);
    struct stat st;
    if (file < 0 || fstat(file, &st) < 0) fail(argv[1]);
    const uint8_t *data = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (data == MAP_FAILED) fail("mmap");
    double rate = atof(argv[2]);
    struct ip_mreqn on = {.imr_ifindex = if_nametoindex(argv[3])};
    int count = argc - 4, s = socket(AF_INET, SOCK_DGRAM, 0), size = 4 << 20;
    if (s < 0 || setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &on, sizeof on) < 0) fail("socket");
    setsockopt(s, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    struct sockaddr_in *to = calloc(count, sizeof *to);
    for (int i = 0; i < count; i++) {
        char *colon = strrchr(argv[4 + i], ':');
        *colon = 0;
        to[i].sin_family = AF_INET;
        to[i].sin_port = htons(atoi(colon + 1));
        if (inet_pton(AF_INET, argv[4 + i], &to[i].sin_addr) != 1) fail(argv[4 + i]);
    }
    prctl(PR_SET_TIMERSLACK, 1);
    int64_t start = now(), late = 0, sent = 0;
    for (off_t at = 0; at + 4 <= st.st_size; sent++) {
        unsigned where = data[at] | data[at + 1] << 8, length = data[at + 2] | data[at + 3] << 8;
        int64_t due = start + (int64_t)(sent * 1e9 / rate), t = now();
        if (t < due) {
            struct timespec until = {due / 1000000000LL, due % 1000000000LL};
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        } else if (t - due > late)
            late = t - due;
        if (sendto(s, data + at + 4, length, 0, (struct sockaddr *)&to[where], sizeof *to) < 0) fail("sendto");
        at += 4 + length;
    }
    printf("%lld %.6f %lld\n", (long long)sent, (now() - start) / 1e9, (long long)(late / 1000));
    return 0;
}
