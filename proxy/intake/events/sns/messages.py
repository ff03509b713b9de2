"""Messages of Amazon SNS, and what of them is signed.

Form: docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
"""

from __future__ import annotations

from typing import Literal

import msgspec

from proxy.errors import BadEvent


class SnsMessage(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A notification, whose `message` is the event as text, or one about the subscription itself."""

    type: Literal["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"]
    message_id: str
    topic_arn: str
    message: str
    timestamp: str
    signature_version: Literal["1", "2"]
    signature: str
    signing_cert_url: str = msgspec.field(name="SigningCertURL")
    subject: str | None = None
    subscribe_url: str = msgspec.field(name="SubscribeURL", default="")
    token: str = ""

    def signed_text(self) -> bytes:
        """Return what the signature is over: names and values, a line each, in the order of the names."""
        if self.type == "Notification":
            subject = [("Subject", self.subject)] if self.subject is not None else []
            fields = [("Message", self.message), ("MessageId", self.message_id), *subject]
        else:
            fields = [("Message", self.message), ("MessageId", self.message_id), ("SubscribeURL", self.subscribe_url)]
        fields.append(("Timestamp", self.timestamp))
        if self.type != "Notification":
            fields.append(("Token", self.token))
        fields += [("TopicArn", self.topic_arn), ("Type", self.type)]
        return "".join(f"{name}\n{value}\n" for name, value in fields).encode()


class _Kind(msgspec.Struct, frozen=True, rename="pascal"):
    type: object = None
    signature_version: object = None


def read_message(document: bytes) -> SnsMessage | None:
    """Return the message in a document; None if it is no message of SNS, or cannot be read at all.

    Raises:
        BadEvent: it is a message that lacks a field, or has one with another value than Amazon documents.
    """
    try:
        kind = msgspec.json.decode(document, type=_Kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if kind.type is None or kind.signature_version is None:
        return None
    try:
        return msgspec.json.decode(document, type=SnsMessage)
    except msgspec.ValidationError as fault:
        raise BadEvent(f"The body is not a valid message of Amazon SNS: {fault}.") from fault
