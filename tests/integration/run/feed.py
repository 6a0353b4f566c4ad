"""A publisher for tests of `bridge run`: numbered messages on several lines, each with the time at which it was sent."""

import socket
import threading
import time
from collections.abc import Sequence

from bridge.wire import codec
from bridge.wire.native_layout import channel_number


class Publisher(threading.Thread):
    """Sends native datagrams of three messages on every line, about `rate` messages a second, until `stop()`."""

    def __init__(self, lines: Sequence[tuple[str, int]], channel: str, rate: float = 6000, session: int = 1) -> None:
        super().__init__(daemon=True)
        self.sent: list[float] = [0.0]  # time.monotonic() by number; number 0 is not sent
        self.late: list[tuple[float, float]] = []  # (when, how much later than due): the machine stood still
        self._lines = lines
        self._codec = codec("native", channel=channel_number(channel))
        self._session = session.to_bytes(8, "big")
        self._pause = 3 / rate
        self._done = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))

    @property
    def last(self) -> int:
        """The highest number that was sent."""
        return len(self.sent) - 1

    @staticmethod
    def payload(number: int) -> bytes:
        return b"message %d" % number

    def run(self) -> None:
        due = time.monotonic()
        while not self._done.is_set():
            number = self.last + 1
            payloads = [self.payload(number + place) for place in range(3)]
            self._send(self._codec.encode_data(self._session, number, payloads, time.time_ns()))
            self.sent += [time.monotonic()] * 3
            due += self._pause
            if (ahead := due - time.monotonic()) > 0.002:
                time.sleep(ahead)
            elif ahead < -0.01:
                self.late.append((time.monotonic(), -ahead))

    def lateness(self, before: float) -> float:
        """How far behind the machine let this publisher fall in the second before that time: others fell behind as well."""
        return max((late for at, late in self.late if before - 1 <= at <= before + 0.1), default=0.0)

    def stop(self) -> None:
        """End, and say the next number twice, so that the receiver knows the tail."""
        self._done.set()
        self.join()
        for _ in range(2):
            self._send(self._codec.encode_heartbeat(self._session, self.last + 1, time.time_ns()))
        self._socket.close()

    def _send(self, datagram: bytes) -> None:
        for line in self._lines:
            self._socket.sendto(datagram, line)
