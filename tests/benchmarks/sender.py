"""The same as sender.c for a machine without a C compiler: bursts each half millisecond instead of single datagrams."""

import mmap
import socket
import struct
import sys
import time
from pathlib import Path

TICK = 0.0005


def main() -> None:
    name, rate_text, interface, *addresses = sys.argv[1:]
    rate = float(rate_text)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    index = socket.if_nametoindex(interface)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4x4xi", index))
    targets = [(host, int(port)) for host, _, port in (address.rpartition(":") for address in addresses)]
    size = Path(name).stat().st_size
    with Path(name).open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        at = sent = 0
        latest = 0.0
        start = time.monotonic()
        while at < size:
            due = start + sent / rate
            now = time.monotonic()
            if now < due:
                time.sleep(max(due - now, TICK))
            else:
                latest = max(latest, now - due)
            while at < size and start + sent / rate <= time.monotonic():
                where, length = struct.unpack_from("<HH", data, at)
                sock.sendto(data[at + 4 : at + 4 + length], targets[where])
                at += 4 + length
                sent += 1
    print(f"{sent} {time.monotonic() - start:.6f} {latest * 1e6:.0f}")


if __name__ == "__main__":
    main()
