"""The entry point of `gf-images` and of `python -m proxy`.

It handles SIGTERM before it imports the service, which takes half a second. Until a handler is installed, the kernel
discards a SIGTERM to the first process of a container (man 7 pid_namespaces), and the container would only stop when it
is killed.
"""

from __future__ import annotations

import io
import os
import signal
import sys

from proxy.optional_imports import unavailable

TERMINATED = 128 + signal.SIGTERM
"""The exit status after a SIGTERM during start-up, as shells report it. Nothing was started that has to be stopped."""

_UTF8 = ["-X", "utf8"]


def main() -> None:
    """Run `gf-images`."""
    signal.signal(signal.SIGTERM, _exit)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    _ensure_utf8()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # File names may contain bytes that are not UTF-8, and PYTHONIOENCODING may select another encoding.
            stream.reconfigure(errors="backslashreplace")
    with unavailable("rich"):  # structlog would load it for colours, which cost 4 MB
        import structlog  # noqa: F401, PLC0415 - after the handler is installed
    from proxy.cli.main import main as run  # noqa: PLC0415 - the same

    run()


def _exit(_signum: int, _frame: object) -> None:
    os._exit(TERMINATED)


def _ensure_utf8() -> None:
    """Restart Python in its UTF-8 mode if the locale has another encoding, such as LC_ALL=POSIX with PYTHONUTF8=0.

    Keys are UTF-8 in every store. With another encoding, Python could not open the files of all keys.
    """
    if sys.flags.utf8_mode or sys.getfilesystemencoding() == "utf-8" or sys.orig_argv[1:3] == _UTF8:
        return
    # exec resets the handler, but a blocked signal stays pending until the new process unblocks it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        os.execv(sys.executable, [sys.executable, *_UTF8, *sys.orig_argv[1:]])  # noqa: S606 - this program itself
    except OSError:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


if __name__ == "__main__":
    main()
