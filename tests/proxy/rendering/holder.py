"""A fork server whose child is stopped, and holds its sockets open, before the service knows of it."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def main() -> None:
    """Fork a child that stops itself; write its process id, and end."""
    child = os.fork()
    if not child:
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    os.waitpid(child, os.WUNTRACED)
    (Path(os.environ["TMPDIR"]) / "child").write_text(str(child))


if __name__ == "__main__":
    main()
