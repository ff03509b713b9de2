"""The tree of the service's errors.

    ImagesError                  the base class; `code` is stable, `str()` is a sentence with a remedy
    ├── CannotStart              a part of the service cannot start
    ├── BadKey                   a key is invalid in every store, or cannot be the key of an original
    ├── UnknownSize              the sizes file has no size with this name
    │   └── UnknownJobSize       a job was requested for an unknown size
    ├── NotFound                 no blob exists under this key
    │   ├── UnknownJob           no job has this id, or its retention has expired
    │   └── TakenDown            the original was taken down
    │       └── OrderTakenDown   derivatives were ordered of an original that was taken down later
    ├── TakedownUnfinished       a takedown has to be continued later; the message has the reason
    ├── JobEnded BadCursor       a job cannot be cancelled, because it has ended; the cursor of a page is invalid
    ├── BadSignature             a request is not signed with a known secret
    ├── BadToken BadEvent        a request does not have the token of EVENTS_TOKEN; its body is no event of a bucket
    ├── SnsUnreachable           Amazon SNS could not be asked for a certificate, or to confirm a subscription
    ├── BadCallback              callbacks to this `callback_url` are not allowed
    ├── BadUploadUrl             an upload URL was not issued by this service
    │   └── UploadUrlEnded       it has expired, or an upload to it was stored
    ├── UploadUnderWay OriginalExists   another upload to this URL is running; the order does not replace an original
    ├── UnfitUpload              an upload is not what was ordered: another type or length, or only a part
    ├── UploadCutOff             the client left in the middle of an upload
    │   └── UploadTooSlow        the upload did not end in time
    ├── CallbackFailed           the receiver of a callback cannot be reached, or its address is not allowed
    │   └── CallbackForbidden    its address is private, and not listed
    ├── CdnPurgeRefused          a CDN refuses to remove its copies: a permission or a setting
    ├── CdnPurgeFailed           a CDN did not remove its copies; retry, after `retry_after_seconds` if it asks for that
    ├── TooManyBytes             the original's file is larger than the limit
    ├── OutOfRange PreconditionFailed   the range is outside the blob; it does not meet a condition of the request
    ├── Busy                     the service is at capacity; retry after `retry_after_seconds`
    ├── QueueUnavailable NoRoom  the queue cannot be opened, read or written; the scratch folder cannot be written
    ├── UnexpectedError GaveUp   an unexpected error; a bulk run cannot continue, and the rest can be done later
    ├── RenderFailed             rendering failed, although the original appears valid
    │   ├── DeadlineExceeded     rendering took longer than its deadline
    │   └── ProcessDied          the render process died while rendering the original
    │       └── DiedAgain        it also died before, with the same bytes
    └── StoreError               a call of the store failed
        ├── StoreUnavailable     a retry may succeed: the store is unreachable, overloaded or failing
        └── StoreRefused         a retry would fail again: credentials or a policy
            ├── RefusedForAll    it cannot be about one key: credentials, the clock, the bucket
            ├── UnreadableFolders  a listing lacks what folders contain that cannot be read
            ├── StoreDenied      the credentials are valid but lack a permission
            │   └── PermissionMissing  a takedown needs this permission
            ├── Untrusted        the certificate of the server is not trusted
            └── UnfitKey         the store cannot hold or read this key; the caller must change it

Errors of the original itself are in `pipeline.errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_NAMED: Final = 5
"""How many folders a message names."""


class ImagesError(Exception):
    """The base class of every error that this service raises on purpose.

    `code` is stable. `str()` is a sentence that includes a remedy.
    """

    code: ClassVar[str] = "error"
    public_message: ClassVar[str] = ""
    """The message for clients, if `str()` is only for the operator."""


class CannotStart(ImagesError):
    """A part of the service cannot start."""

    code = "cannot-start"


class BadKey(ImagesError):
    """A key that is invalid in every store, or that cannot be the key of an original."""

    code = "bad-key"


class UnknownSize(ImagesError):
    """The sizes file has no size with this name."""

    code = "unknown-size"


class UnknownJobSize(UnknownSize):
    """A job was requested for a size that does not exist."""


class NotFound(ImagesError):
    """No blob exists under this key."""

    code = "not-found"


class UnknownJob(NotFound):
    """No job has this id, or its retention has expired."""

    code = "unknown-job"


class TakenDown(NotFound):
    """The original `key` was taken down, and nothing may bring it back but a later signed post or upload."""

    code = "taken-down"

    def __init__(self, key: str) -> None:
        super().__init__(f"The original {key!r} was taken down; to publish it again, upload it and post a job for it.")


class OrderTakenDown(TakenDown):
    """Derivatives were ordered of an original that was taken down since, or by something that is no signed post."""


class TakedownUnfinished(ImagesError):
    """A takedown has to be continued later, for example because a cache still serves the picture."""

    code = "takedown-unfinished"


class JobEnded(ImagesError):
    """A job was to be cancelled, but it has ended."""

    code = "job-ended"


class BadCursor(ImagesError):
    """A page of jobs was requested with a cursor that no earlier page returned."""

    code = "bad-cursor"


class BadSignature(ImagesError):
    """A request is not signed with a known secret."""

    code = "bad-signature"


class BadToken(ImagesError):
    """A request does not have the token of EVENTS_TOKEN."""

    code = "bad-token"


class BadEvent(ImagesError):
    """The body of a request is no event of a bucket, in a form that is read."""

    code = "bad-event"


class SnsUnreachable(ImagesError):
    """Amazon SNS could not be asked for a certificate, or to confirm a subscription."""

    code = "sns-unreachable"


class BadCallback(ImagesError):
    """A `callback_url` to which callbacks are not allowed."""

    code = "bad-callback"


class BadUploadUrl(ImagesError):
    """An upload URL that this service did not issue, or that was changed since."""

    code = "bad-upload-url"


class UploadUrlEnded(BadUploadUrl):
    """An upload URL that has expired, or to which an upload was stored."""

    code = "upload-url-ended"


class UploadUnderWay(ImagesError):
    """Another upload to this URL is running."""

    code = "upload-under-way"


class OriginalExists(ImagesError):
    """An upload would replace an original, and its order does not permit that."""

    code = "original-exists"


class UnfitUpload(ImagesError):
    """An upload that is not what was ordered: it has another type or length, or is only a part of a file."""

    code = "unfit-upload"


class UploadCutOff(ImagesError):
    """The client left in the middle of an upload."""

    code = "upload-cut-off"


class UploadTooSlow(UploadCutOff):
    """An upload did not end in time."""

    code = "upload-too-slow"


class CallbackFailed(ImagesError):
    """The receiver of a callback cannot be reached, or its address is not allowed."""

    code = "callback-failed"


class CallbackForbidden(CallbackFailed):
    """The receiver of a callback has a private address that is not listed."""

    public_message = "The host resolves to a private address that CALLBACK_HOSTS does not list."


class CdnPurgeRefused(ImagesError):
    """A CDN refuses to remove its copies: a permission is missing, or a setting is wrong. The message names it."""

    code = "cdn-purge-refused"


class CdnPurgeFailed(ImagesError):
    """A CDN did not remove its copies, but a retry may succeed.

    `retry_after_seconds` is None unless the CDN asked for that wait.
    """

    code = "cdn-purge-failed"

    def __init__(self, detail: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class TooManyBytes(ImagesError):
    """The original's file is larger than the limit."""

    code = "too-many-bytes"


class OutOfRange(ImagesError):
    """The requested range is outside the blob, which has `total` bytes."""

    code = "out-of-range"

    def __init__(self, detail: str, *, total: int) -> None:
        super().__init__(detail)
        self.total = total


class PreconditionFailed(ImagesError):
    """A blob does not meet the `If-Match` or `If-Unmodified-Since` header of a request."""

    code = "not-as-before"


class Busy(ImagesError):
    """The service is at capacity; clients should retry after `retry_after_seconds`."""

    code = "busy"

    def __init__(self, detail: str, *, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class QueueUnavailable(ImagesError):
    """The queue cannot be opened, read or written; the jobs that it accepted before are still in it."""

    code = "queue-unavailable"
    public_message = "The job queue is unavailable; try again later."


class NoRoom(ImagesError):
    """Nothing more can be written to the scratch folder: its disk is full or fails."""

    code = "no-room"
    public_message = "The service cannot store temporary files; try again later."


class UnexpectedError(ImagesError):
    """An unexpected error; the log has its traceback."""

    code = "internal"
    public_message = "An unexpected error occurred; the operator finds the cause in the service's log."


class GaveUp(ImagesError):
    """A bulk run cannot continue; the rest of it can be done later."""

    code = "gave-up"


class RenderFailed(ImagesError):
    """Rendering failed, although the original appears valid."""

    code = "render-failed"


class DeadlineExceeded(RenderFailed):
    """Rendering took longer than its deadline."""

    code = "deadline-exceeded"


class ProcessDied(RenderFailed):
    """The render process died while rendering the original."""

    code = "process-died"
    public_message = "Rendering failed unexpectedly; try again. If it fails again, replace the original."


class DiedAgain(ProcessDied):
    """The render process died with the same bytes as before; the original is not retried."""

    code = "died-again"
    public_message = ""


class StoreError(ImagesError):
    """A call of the store failed."""

    code = "store-error"
    public_message = "The image store is unavailable; try again later."


class StoreUnavailable(StoreError):
    """A retry may succeed: the store is unreachable, overloaded or failing."""

    code = "store-unavailable"


class StoreRefused(StoreError):
    """A retry would fail again: wrong credentials, a policy, or a key that the store cannot hold.

    `brief` is the reason for anyone who may read `/readyz`: it names no bucket, host or account.
    """

    code = "store-refused"
    public_message = "The image store rejects this operation; the operator has to fix the cause."

    def __init__(self, detail: str, *, brief: str = "") -> None:
        super().__init__(detail)
        self.brief = brief


class RefusedForAll(StoreRefused):
    """A refusal that cannot be about one key: of unknown or expired credentials, a wrong clock, a missing bucket."""


class UnreadableFolders(StoreRefused):
    """A listing is complete but for these folders, which cannot be read; their keys end with a slash."""

    def __init__(self, folders: Sequence[str]) -> None:
        named = ", ".join(map(repr, folders[:MOST_NAMED])) + (" and others" if len(folders) > MOST_NAMED else "")
        super().__init__(f"The file store cannot read {named}: grant the user of this service access to the folder.")
        self.folders = tuple(folders)


class StoreDenied(StoreRefused):
    """The credentials are valid but lack a permission."""


class PermissionMissing(StoreDenied):
    """The credentials lack a permission that a takedown needs; the message names it."""

    code = "permission-missing"
    public_message = ""

    def __init__(self, permission: str) -> None:
        super().__init__(
            f"A takedown needs the permission {permission}, which the store's credentials lack; grant it in the policy "
            "of the bucket or of their user."
        )


class Untrusted(StoreRefused):
    """The certificate of the server at `host` and `port` is not trusted."""

    def __init__(self, detail: str, *, host: str, port: int) -> None:
        super().__init__(detail, brief="its certificate is not trusted")
        self.host = host
        self.port = port


class UnfitKey(StoreRefused):
    """A key that this store cannot hold, or a blob that it cannot read; the store itself works."""

    code = "bad-key"
    public_message = ""


def public_message(error: Exception) -> str:
    """Return the message of `error` for clients: its own, unless that is only for the operator."""
    return (error.public_message if isinstance(error, ImagesError) else "") or str(error)
