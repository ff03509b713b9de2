"""A self-signed certificate for the loopback address, which nobody trusts."""

from __future__ import annotations

import ssl
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def self_signed(path: Path) -> ssl.SSLContext:
    """Write a certificate to `path`, and return the context of a server that shows it."""
    made = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    named = ("-subj", "/O=Made Up/CN=Some Authority", "-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", path.with_suffix(".key"), "-out", path)
    subprocess.run(("openssl", "req", *made, *named, *files), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, path.with_suffix(".key"))
    return context
