"""The process that apprise has to itself: reads what to send from standard input, and ends with 0 if it was sent."""

from __future__ import annotations

import json
import sys


def main() -> int:
    """Send, and return 0; 1 where somebody was not reached, 3 where an address is not understood."""
    from apprise import Apprise

    asked = json.load(sys.stdin)
    sender = Apprise()
    if not all(sender.add(url) for url in asked["urls"]):
        return 3
    return 0 if sender.notify(body=asked["body"], title=asked["title"], notify_type=asked["type"]) else 1


if __name__ == "__main__":
    sys.exit(main())
