"""Capture files made from UDP payloads, and what tshark makes of them. Classic pcap, RFC 894, RFC 791, RFC 768."""

import json
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PORT = 26_400


def write(path: Path, datagrams: Sequence[bytes], *, port: int = PORT) -> None:
    """One frame a datagram, from 10.77.0.1 to 239.77.0.1, a microsecond apart."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))
        for place, datagram in enumerate(datagrams):
            frame = ethernet(datagram, port)
            file.write(struct.pack("<IIII", 1_700_000_000, place, len(frame), len(frame)) + frame)


def ethernet(datagram: bytes, port: int) -> bytes:
    source, group = bytes([10, 77, 0, 1]), bytes([239, 77, 0, 1])
    length = 8 + len(datagram)
    pseudo = source + group + struct.pack(">BBH", 0, 17, length)
    udp = struct.pack(">HHHH", 40_000, port, length, 0)
    checksum = ones(pseudo + udp + datagram) or 0xFFFF
    udp = struct.pack(">HHHH", 40_000, port, length, checksum)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + length, 0, 0x4000, 1, 17, 0, source, group)
    ip = ip[:10] + struct.pack(">H", ones(ip)) + ip[12:]
    return bytes.fromhex("01005e4d0001 020000000001 0800") + ip + udp + datagram


def ones(data: bytes) -> int:
    """The Internet checksum, RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def dissect(tshark: str, capture: Path, *options: str) -> list[list[tuple[str, str]]]:
    """All fields of each frame as (name, value in tshark's words), in order. UDP checksums are verified."""
    command = [tshark, "-r", str(capture), "-T", "json", "-o", "udp.check_checksum:TRUE", *options]
    answer = subprocess.run(command, capture_output=True, check=True, timeout=60)
    frames = json.loads(answer.stdout, object_pairs_hook=list)
    return [flatten(dict(dict(frame)["_source"])["layers"]) for frame in frames]


def flatten(pairs: list[tuple[str, Any]]) -> list[tuple[str, str]]:
    found = []
    for key, value in pairs:
        if isinstance(value, list):
            found += flatten([p for p in value if isinstance(p, tuple)])
        elif isinstance(value, str):
            found.append((key, value))
    return found
