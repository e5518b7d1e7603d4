"""python -m dcgan_cupy.inspect: what a kernel does wrong, and what it costs (the workbench, as a command).

See --help.
"""

import sys

from .workbench.command import main

if __name__ == "__main__":
    sys.exit(main())
