"""Who posted this: signatures of the Standard Webhooks scheme (standardwebhooks.com), HMAC-SHA256."""

from __future__ import annotations

from typing import TYPE_CHECKING

from standardwebhooks import Webhook, WebhookVerificationError

from proxy.errors import BadSignature

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

ID_HEADER = "webhook-id"


class Verifier:
    """Checks signed bodies against any of several secrets, so that one can be rotated in before the old one goes.

    Secrets are `whsec_` followed by base64. The scheme tolerates clocks 5 minutes apart.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._webhooks = [Webhook(secret) for secret in secrets]

    @property
    def is_open(self) -> bool:
        """True when there is no secret, so that anybody may post."""
        return not self._webhooks

    def verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Return when `body` is signed by one of the secrets, or when there are none.

        Raises:
            BadSignature: a header is missing, the timestamp is too far off, or no signature matches.
        """
        if self.is_open:
            return
        reasons = [reason for webhook in self._webhooks if (reason := _fault(webhook, body, headers))]
        if len(reasons) == len(self._webhooks):
            raise BadSignature(
                f"{reasons[0]}; sign the body, or where there is none the request by its method and address, such as "
                "'GET /v1/jobs', as standardwebhooks.com says, with a secret known here."
            )


class Signer:
    """Signs bodies with every secret, so that a receiver may know any one of them while they are changed."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._webhooks = [Webhook(secret) for secret in secrets]

    def headers(self, body: str, *, message_id: str, at: datetime) -> dict[str, str]:
        """Give the headers that sign `body` as sent `at` that time, which has to be in UTC."""
        return {
            ID_HEADER: message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(webhook.sign(message_id, at, body) for webhook in self._webhooks),
        }


def _fault(webhook: Webhook, body: bytes, headers: Mapping[str, str]) -> str | None:
    try:
        webhook.verify(body, dict(headers), json_parse=False)
    except WebhookVerificationError as fault:
        return str(fault)
    except ValueError:  # a signature that is not base64, a body that is not UTF-8: the library lets these through
        return "The signature headers or the body are malformed"
    return None
