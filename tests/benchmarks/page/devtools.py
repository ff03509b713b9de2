"""A headless Chromium, driven by the DevTools protocol through two pipes."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Message = dict[str, Any]

PROGRAM = "chromium"
LACKS = "needs chromium: apt-get install chromium"
SECONDS = 120.0
"""How long an answer or an event may take."""

_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
    "--force-color-profile=srgb", "--disable-background-networking", "--log-level=3", "--remote-debugging-pipe",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """The window of a device in CSS pixels, and its device pixels for each of them."""

    width: int
    height: int
    density: float


@dataclass(slots=True)
class Tab:
    """A tab of the browser: commands to it, and the events that it reported."""

    commands: int
    answers: int
    session: str = ""
    events: list[Message] = field(default_factory=list)
    _number: int = 0
    _read: bytes = b""

    def call(self, method: str, **params: object) -> Message:
        """Run a command, and return its result.

        Raises:
            RuntimeError: the browser refused it.
        """
        self._number += 1
        command: Message = {"id": self._number, "method": method, "params": params}
        if self.session:
            command["sessionId"] = self.session
        os.write(self.commands, json.dumps(command).encode() + b"\0")
        answer = self._next(lambda message: message.get("id") == self._number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: Message = answer["result"]
        return result

    def wait(self, method: str, **params: object) -> Message:
        """Return the parameters of the first event of this kind that has these values, past or to come."""

        def fits(event: Message) -> bool:
            return event.get("method") == method and params.items() <= event["params"].items()

        found = next(filter(fits, self.events), None) or self._next(fits)
        told: Message = found["params"]
        return told

    def of(self, method: str) -> list[Message]:
        """Return the parameters of all events of this kind so far."""
        return [event["params"] for event in self.events if event["method"] == method]

    def evaluate(self, script: str) -> Any:
        """Return the value of an expression of JavaScript; a promise is awaited.

        Raises:
            RuntimeError: it throws.
        """
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def screenshot(self) -> bytes:
        """Return the window as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def _next(self, fits: Callable[[Message], bool]) -> Message:
        """Return the next message that fits; other events are kept."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            whole, found, rest = self._read.partition(b"\0")
            if not found:
                if select.select([self.answers], [], [], 1)[0]:
                    self._read += os.read(self.answers, 1 << 20)
                continue
            self._read = rest
            message: Message = json.loads(whole)
            if "method" in message:
                self.events.append(message)
            if fits(message):
                return message
        raise TimeoutError("the browser did not answer")


def is_there() -> bool:
    """Return whether the browser is installed."""
    return bool(shutil.which(PROGRAM) and shutil.which("bash"))


@contextmanager
def browsing(folder: Path, screen: Screen) -> Iterator[Tab]:
    """Yield a tab of a new browser whose profile is in `folder`."""
    theirs, ours = os.pipe(), os.pipe()
    redirected = f'exec {PROGRAM} "$@" 3<&{theirs[0]} 4>&{ours[1]}'  # the descriptors that the browser reads and writes
    process = subprocess.Popen(
        ["bash", "-c", redirected, "bash", *_OPTIONS, f"--user-data-dir={folder}", "about:blank"],
        pass_fds=(theirs[0], ours[1]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs[0])
    os.close(ours[1])
    tab = Tab(commands=theirs[1], answers=ours[0])
    try:
        target = tab.call("Target.createTarget", url="about:blank")["targetId"]
        tab.session = tab.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            tab.call(f"{domain}.enable")
        tab.call("Page.setLifecycleEventsEnabled", enabled=True)
        metrics = {"width": screen.width, "height": screen.height, "deviceScaleFactor": screen.density}
        tab.call("Emulation.setDeviceMetricsOverride", **metrics, mobile=False)
        yield tab
    finally:
        os.close(tab.commands)  # the browser ends with it
        os.close(tab.answers)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
