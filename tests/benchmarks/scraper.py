"""Asks for metrics and status all the time until SIGTERM; prints how many answers it had and the longest wait."""

import signal
import sys
import time
from http.client import HTTPConnection


def main() -> None:
    port = int(sys.argv[1])
    ended = False

    def end(*_: object) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGTERM, end)
    answers, longest = 0, 0.0
    while not ended:
        for path in ("/metrics", "/status"):
            began = time.monotonic()
            connection = HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", path)
            connection.getresponse().read()
            connection.close()
            longest = max(longest, time.monotonic() - began)
            answers += 1
    print(f"{answers} {longest:.3f}", flush=True)


if __name__ == "__main__":
    main()
