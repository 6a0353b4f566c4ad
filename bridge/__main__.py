"""`python -m bridge`: the command line, for where the console script is not on the path."""

import sys

from bridge.cli.main import main

sys.exit(main())
