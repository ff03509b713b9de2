"""What can go wrong in the service, drawn as a tree.

    ImagesError                  the root; `code` is stable, `str()` is a sentence that says what to do
    ├── CannotStart              a part of the service cannot start
    ├── BadKey                   a key that no store can hold, or that no original may have
    ├── UnknownSize              no size of that name in the sizes file
    │   └── BadOrder             a job was ordered for such a size
    ├── NotFound                 the store has nothing under that key
    │   └── UnknownJob           no job with that id, or it is past its retention
    ├── BadCursor                a page of jobs was asked for that no page led to
    ├── BadSignature             posted by somebody who does not know a secret
    ├── BadCallback              a callback_url that callbacks may not go to
    ├── CallbackFailed           the receiver of a callback cannot be reached
    ├── TooManyBytes             the original's file is larger than originals may be
    ├── OutOfRange               a part of a blob was asked for that it does not have
    ├── NotAsBefore              a blob was asked for as long as it is as it was, and it is not
    ├── Busy                     the line is full; come back after `retry_after_seconds`
    ├── QueueUnavailable         the queue cannot be opened, read or written
    ├── NoRoom                   the folder for work in progress takes nothing more
    ├── Unforeseen               what nobody has thought of
    ├── GaveUp                   a run over many originals cannot go on; what is left can be done later
    ├── RenderFailed             the original is well, the rendering went wrong
    │   ├── DeadlineExceeded     it took longer than a render may
    │   └── ProcessDied          the render process died under it
    │       └── DiedAgain        and did so before, under the same bytes
    └── StoreError               the store did not do what was asked
        ├── StoreUnavailable     it may later: unreachable, overloaded, erring
        └── StoreRefused         it will not: credentials, policy
            └── UnfitKey         it cannot hold such a key, which is the caller's to mend

What is wrong with an original itself is `pipeline.errors`.
"""

from __future__ import annotations

from typing import ClassVar


class ImagesError(Exception):
    """The root of every error that this service raises on purpose."""

    code: ClassVar[str] = "error"
    public_message: ClassVar[str] = ""
    """What callers may know, where the error's own sentence is its operator's."""


class CannotStart(ImagesError):
    """A part of the service cannot start."""

    code = "cannot-start"


class BadKey(ImagesError):
    """A key that no store can hold, or that no original may have."""

    code = "bad-key"


class UnknownSize(ImagesError):
    """No size of that name in the sizes file."""

    code = "unknown-size"


class BadOrder(UnknownSize):
    """A job was ordered for a size that does not exist."""


class NotFound(ImagesError):
    """The store has nothing under that key."""

    code = "not-found"


class UnknownJob(NotFound):
    """No job with that id, or it is past its retention."""

    code = "unknown-job"


class BadCursor(ImagesError):
    """A page of jobs was asked for that no earlier page led to."""

    code = "bad-cursor"


class BadSignature(ImagesError):
    """Posted by somebody who does not know a secret."""

    code = "bad-signature"


class BadCallback(ImagesError):
    """A `callback_url` that callbacks may not go to."""

    code = "bad-callback"


class CallbackFailed(ImagesError):
    """The receiver of a callback cannot be reached, or not where callbacks may go."""

    code = "callback-failed"


class TooManyBytes(ImagesError):
    """The original's file is larger than originals may be."""

    code = "too-many-bytes"


class OutOfRange(ImagesError):
    """A part of a blob was asked for that it does not have; the blob has `whole` bytes."""

    code = "out-of-range"

    def __init__(self, detail: str, *, whole: int) -> None:
        super().__init__(detail)
        self.whole = whole


class NotAsBefore(ImagesError):
    """A blob was asked for on the condition that it is still as it was, and it is not."""

    code = "not-as-before"


class Busy(ImagesError):
    """The line is full; `retry_after_seconds` says when to come back."""

    code = "busy"

    def __init__(self, detail: str, *, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class QueueUnavailable(ImagesError):
    """The queue cannot be opened, read or written; what it accepted before is still in it."""

    code = "queue-unavailable"
    public_message = "The queue cannot be used now; try again in a moment."


class NoRoom(ImagesError):
    """The folder for work in progress takes nothing more: its disk is full, or fails."""

    code = "no-room"
    public_message = "This service has no room to work in now; try again in a moment."


class Unforeseen(ImagesError):
    """What nobody has thought of; the log has it whole."""

    code = "internal"
    public_message = "Something broke here; the operator of this service finds the cause in its log."


class GaveUp(ImagesError):
    """A run over many originals cannot go on; what is left of it can be done later."""

    code = "gave-up"


class RenderFailed(ImagesError):
    """The original is well as far as is known, the rendering went wrong."""

    code = "render-failed"


class DeadlineExceeded(RenderFailed):
    """The rendering took longer than a render may."""

    code = "deadline-exceeded"


class ProcessDied(RenderFailed):
    """The render process died under this original."""

    code = "process-died"


class DiedAgain(ProcessDied):
    """The render process died under this original as it did before under the same bytes; it is not tried any more."""

    code = "died-again"


class StoreError(ImagesError):
    """The store did not do what was asked of it."""

    code = "store-error"
    public_message = "The store cannot be used now; try again in a moment."


class StoreUnavailable(StoreError):
    """The store may do it later: it is unreachable, overloaded or erring."""

    code = "store-unavailable"


class StoreRefused(StoreError):
    """The store will not do it: credentials, a policy, a key that it cannot hold."""

    code = "store-refused"
    public_message = "The store refuses what this service asks of it; its operator has to mend that."


class UnfitKey(StoreRefused):
    """A key that this store cannot hold; nothing is wrong with the store."""

    code = "bad-key"
    public_message = ""


def public_message(error: Exception) -> str:
    """Give the sentence for callers: the error's own, unless that is its operator's."""
    return (error.public_message if isinstance(error, ImagesError) else "") or str(error)
