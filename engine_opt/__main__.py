"""`python -m engine_opt`: see `engine_opt.cli`."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    try:
        from engine_opt.cli import main
    except KeyboardInterrupt:  # while the command line is still being imported
        sys.exit(130)
    main()
