"""`python -m tests.support.namespace [--] COMMAND…`: run a command in a network namespace made for it.

The reusable part, and what the namespace holds, is `bridge.testing.namespace`.
"""

import sys

from bridge.testing.namespace import LINES, VARIABLE, decided, execute, inside, main

__all__ = ["LINES", "VARIABLE", "decided", "execute", "inside", "main"]

if __name__ == "__main__":
    main(sys.argv[1:])
