"""What each problem type means, what its caller can do, and whether a retry helps, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Retry = Literal["no", "changed", "uploaded", "later"]

WORDS: Final[Mapping[str, tuple[str, str, Retry]]] = {
    "abandoned": (
        "No worker completed the job: it timed out or crashed at every attempt, or was aborted.",
        "Replay the job. If it is abandoned again, the operator finds the cause in the log under its job_id.",
        "later",
    ),
    "address-too-long": (
        "The request target is longer than any valid key.",
        "Send a shorter path and query.",
        "changed",
    ),
    "bad-address": (
        "The request target holds bytes that a URL may not hold.",
        "Percent-encode them as UTF-8: é is %C3%A9.",
        "changed",
    ),
    "bad-callback": (
        "Callbacks to this callback_url are not allowed.",
        "Use a host that the operator listed in CALLBACK_HOSTS, or ask the operator to add it.",
        "changed",
    ),
    "bad-cursor": (
        "The cursor is not one that an earlier page of jobs returned.",
        "Follow the `next` path of a page as it is, or start again without a cursor.",
        "changed",
    ),
    "bad-event": (
        "The body is no event of a bucket in a form that is read.",
        "Check what the sender of the events is configured to send; the documentation of events lists the forms.",
        "changed",
    ),
    "bad-key": (
        "The key is invalid in every store, or cannot be the key of an original.",
        "Correct the key as the detail describes: at most 1,024 bytes of UTF-8, no empty segment, no `.` or `..`.",
        "changed",
    ),
    "bad-request": (
        "The request cannot be read: a field or a query parameter is unknown, missing, repeated or invalid.",
        "Correct everything that `errors` lists. `/schema` has the fields and parameters of each route.",
        "changed",
    ),
    "bad-signature": (
        "The request is not signed with a secret that this service knows, or its timestamp is over five minutes off.",
        "Sign the body byte for byte or, without a body, the method and the path. Check the secret and the clock.",
        "changed",
    ),
    "bad-token": (
        "The request does not have the token of EVENTS_TOKEN.",
        "Send the token as Bearer, as the password of Basic, or in the query.",
        "changed",
    ),
    "bad-upload-url": (
        "This service did not issue the upload URL, or the URL was changed.",
        "Use the URL unchanged, or order another one with `POST /v1/uploads`.",
        "changed",
    ),
    "busy": (
        "The service is at capacity, or is stopping.",
        "Wait, then send the request again. If it happens often, the operator should add workers or memory.",
        "later",
    ),
    "callback-failed": (
        "The receiver of a callback cannot be reached, or its address is not allowed.",
        "Check that the receiver responds and that CALLBACK_HOSTS lists its address. Callbacks are retried.",
        "later",
    ),
    "cancelled": (
        "The job was cancelled on request.",
        "Replay it.",
        "changed",
    ),
    "cannot-start": (
        "A part of the service cannot start.",
        "The operator should correct the setting that the message names, then start the service again.",
        "changed",
    ),
    "cdn-purge-failed": (
        "A CDN did not remove its copies of a picture.",
        "Wait: the takedown is continued until the copies are gone.",
        "later",
    ),
    "cdn-purge-refused": (
        "A CDN refuses to remove its copies: a permission is missing, or a setting is wrong.",
        "The operator should grant the permission or correct the setting that the detail names.",
        "changed",
    ),
    "corrupt": (
        "The file starts as an image, but is truncated or invalid.",
        "Upload the original again, from an intact file.",
        "changed",
    ),
    "deadline-exceeded": (
        "Rendering took longer than RENDER_TIMEOUT_SECONDS.",
        "Try again once. If it happens again, upload a smaller original.",
        "later",
    ),
    "died-again": (
        "The render process died twice with the same bytes, so they are not tried again.",
        "Replace the original, for example with one that was exported again.",
        "changed",
    ),
    "error": (
        "The request failed for a reason that has no code of its own.",
        "Read the detail, and report it to the operator with the request_id.",
        "later",
    ),
    "gave-up": (
        "A run over many originals cannot continue.",
        "Remove the cause that the message names, then run the same command again: it continues.",
        "changed",
    ),
    "head-too-large": (
        "The header lines of the request are too long together.",
        "Send fewer or shorter headers, such as fewer cookies.",
        "changed",
    ),
    "internal": (
        "An unexpected error occurred; it is a fault of the service.",
        "Report it to the operator with the request_id, under which the log has the cause.",
        "later",
    ),
    "job-ended": (
        "The job has ended, so that it cannot be cancelled, or it is a takedown that ran already.",
        "Read the job.",
        "no",
    ),
    "malformed-request": (
        "The request is not valid HTTP/1.1.",
        "Check the header lines, Content-Length and line endings of the client.",
        "changed",
    ),
    "method-not-allowed": (
        "The path does not support this method.",
        "Use a method of the `Allow` header; `/schema` lists every route.",
        "changed",
    ),
    "needs-too-much-memory": (
        "Rendering the original would need more memory than all renders together may use.",
        "Upload a smaller original, or one that is not progressive; or the operator raises MEMORY_BUDGET_MB.",
        "changed",
    ),
    "no-room": (
        "The service cannot store temporary files: the disk of its scratch folder is full or fails.",
        "Try again later. The operator should free space in TMPDIR.",
        "later",
    ),
    "not-an-image": (
        "The file does not start as any known image format does.",
        "Upload a photograph, such as a JPEG, PNG, WebP, AVIF or HEIC file.",
        "changed",
    ),
    "not-as-before": (
        "The file does not meet the `If-Match` or `If-Unmodified-Since` header of the request.",
        "Read the file again, and use its present ETag.",
        "changed",
    ),
    "not-found": (
        "No original, size or route exists under this address.",
        "Check the key and its spelling.",
        "uploaded",
    ),
    "original-exists": (
        "An original exists under this key, and the order does not permit to replace it.",
        "Choose another key, or order the upload with `replace` set to true.",
        "changed",
    ),
    "out-of-range": (
        "The requested range is outside the file.",
        "Ask for a range within the length that `Content-Range` names.",
        "changed",
    ),
    "permission-missing": (
        "The credentials of the store lack a permission that a takedown needs; nothing was removed.",
        "The operator should grant the permission that the detail names.",
        "changed",
    ),
    "process-died": (
        "The render process died while it rendered the original.",
        "Try again once. If it fails again, replace the original.",
        "later",
    ),
    "queue-unavailable": (
        "The job queue cannot be read or written. Jobs that were accepted before are still in it.",
        "Try again later. The operator should check the server or the disk of QUEUE.",
        "later",
    ),
    "refused": (
        "The original cannot be rendered.",
        "Replace the original as the detail describes.",
        "changed",
    ),
    "render-failed": (
        "Rendering failed, although the original appears to be valid.",
        "Try again once. If it fails again, replace the original.",
        "later",
    ),
    "request-entity-too-large": (
        "The body of the request is too large.",
        "Send a shorter body: a job may have up to 64 KiB, events up to 256 KiB.",
        "changed",
    ),
    "several-hosts": (
        "The request has more than one Host line.",
        "Send exactly one.",
        "changed",
    ),
    "sns-unreachable": (
        "Amazon SNS could not be asked for a certificate, or to confirm a subscription.",
        "Wait: Amazon SNS sends the message again.",
        "later",
    ),
    "store-error": (
        "A call of the image store failed.",
        "Try again later.",
        "later",
    ),
    "store-refused": (
        "The image store rejects the operation: wrong credentials, a policy, or a missing bucket.",
        "The operator has to fix the cause, which the log names. Until then, the same request fails.",
        "later",
    ),
    "store-unavailable": (
        "The image store is unreachable, overloaded or failing.",
        "Try again later.",
        "later",
    ),
    "takedown-unfinished": (
        "A takedown has to be continued, for example because a cache still serves the picture.",
        "Wait: it is continued. The job has what was removed so far.",
        "later",
    ),
    "taken-down": (
        "The original was taken down.",
        "To publish it again, upload it again and post a signed job for it.",
        "changed",
    ),
    "too-large": (
        "The image exceeds a limit of this service.",
        "Upload a smaller original.",
        "changed",
    ),
    "too-many-bytes": (
        "The file of the original is larger than MAX_UPLOAD_MB.",
        "Upload a smaller file.",
        "changed",
    ),
    "too-many-frames": (
        "The file has more frames or pages than the limit.",
        "Upload a shorter animation, or fewer pages.",
        "changed",
    ),
    "too-many-pixels": (
        "The image has more pixels than MAX_PIXELS.",
        "Upload an image with fewer pixels.",
        "changed",
    ),
    "transfer-encoding": (
        "The request has a transfer encoding other than `chunked`.",
        "Send the body as `chunked`, or with a Content-Length.",
        "changed",
    ),
    "unfit-upload": (
        "The upload is not what was ordered: it has another type or length, or is only a part of a file.",
        "Upload the whole file that was ordered, or order another upload.",
        "changed",
    ),
    "unknown-job": (
        "No job has this id, or it ended too long ago.",
        "Check the id. Ended jobs are kept for JOB_KEEP_DAYS.",
        "no",
    ),
    "unknown-method": (
        "The request method is not one of HTTP's.",
        "Use GET, HEAD, POST, PUT or DELETE.",
        "changed",
    ),
    "unknown-size": (
        "No size has this name.",
        "Use a size that `/schema` lists, or ask the operator to define it.",
        "changed",
    ),
    "unreadable": (
        "The file is not an image that can be decoded.",
        "Replace the original with an intact image.",
        "changed",
    ),
    "unsupported-format": (
        "The format of the file is recognised but not supported.",
        "Convert the original, for example to JPEG or PNG.",
        "changed",
    ),
    "upload-cut-off": (
        "The client left in the middle of the upload; nothing of it is stored.",
        "Upload the file again; the same URL is valid until it expires.",
        "later",
    ),
    "upload-too-slow": (
        "The upload did not end in time; nothing of it is stored.",
        "Upload the file again over a faster connection, or a smaller file.",
        "later",
    ),
    "upload-under-way": (
        "Another upload to this URL is running.",
        "Wait for its end.",
        "later",
    ),
    "upload-url-ended": (
        "The upload URL has expired, or an upload to it was stored.",
        "Order another one with `POST /v1/uploads`.",
        "changed",
    ),
}
"""What is wrong, what to do, and whether to send the request again, by code."""
