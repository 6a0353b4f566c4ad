"""The reference: a thread with a blocking `recv` loop that counts. SIGTERM ends it; it prints how many it had."""

import signal
import socket
import struct
import sys
import threading


def main() -> None:
    group, port, interface = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    sock.bind((group, port))
    member = socket.inet_aton(group) + struct.pack("=4xi", socket.if_nametoindex(interface))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    count = [0]

    def receive() -> None:
        recv = sock.recv
        while True:
            recv(65535)
            count[0] += 1

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=receive, daemon=True).start()
    print("ready", flush=True)
    signal.sigwait({signal.SIGTERM})
    print(count[0], flush=True)


if __name__ == "__main__":
    main()
