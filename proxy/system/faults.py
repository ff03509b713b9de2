"""Messages for errors of the operating system, with the path or address and the name of the error."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAME_ERRORS: Final = {value: name for name, value in vars(socket).items() if name.startswith("EAI_")}
"""The error numbers of name resolution, which overlap those of `errno`."""

_CONNECTION_ERRORS: Final = (
    *(errno.ECONNREFUSED, errno.ECONNRESET, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH),
    *(errno.EACCES, errno.ENOENT),
)

_ADDRESS_ERRORS: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL})
"""The error numbers of `bind` that concern the address, not the port."""


def system_error(error: BaseException) -> OSError | None:
    """Return the first error of the operating system among `error` and its causes, or None."""
    found = (one for one in causes(error) if isinstance(one, OSError))
    # Python's own TimeoutError has no number, and an `ssl.SSLError` has one of OpenSSL's.
    return next((one for one in found if one.errno is not None or isinstance(one, ssl.SSLError)), None)


def reason(error: OSError) -> str:
    """Return an error's description and name, such as "Connection refused (ECONNREFUSED)"."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not valid: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.strerror}"
    number = error.errno or 0
    if _is_name_error(number):
        return f"{error.strerror or 'the name cannot be resolved'} ({_NAME_ERRORS[number]})"
    return f"{os.strerror(number)} ({errno.errorcode.get(number, number)})"


def with_reason(sentence: str, cause: OSError | None) -> str:
    """Return a client library's message with the name of the error of the operating system that it is about.

    libpq, for example, puts only the description of that error into its message.
    """
    sentence = sentence.rstrip(".")
    if (cause := cause or stated_error(sentence)) is None:
        return sentence
    description, _, name = reason(cause).rpartition(" ")
    return f"{sentence} {name}" if description in sentence else f"{sentence}: {description} {name}"


def stated_error(sentence: str) -> OSError | None:
    """Return the error of a connection whose description a client library's message has, or None."""
    number = next((number for number in _CONNECTION_ERRORS if os.strerror(number) in sentence), None)
    return OSError(number, os.strerror(number)) if number else None


def path_fault(error: OSError, path: Path) -> str:
    """Return why `path` cannot be used, naming the part of it that is not a directory if there is one."""
    if error.errno in {errno.ENOTDIR, errno.EEXIST}:
        in_the_way = next(filter(_is_no_folder, (path, *path.parents)), path)
        return f"{in_the_way} is not a directory ({errno.errorcode[error.errno]})"
    return f"{path} cannot be used: {reason(error)}"


def _is_no_folder(path: Path) -> bool:
    try:
        return not stat.S_ISDIR(path.stat().st_mode)
    except OSError:  # it does not exist
        return False


def bind_fault(error: OSError, *, host: str, port: int, setting: str) -> str:
    """Return why a server cannot listen on `host` and `port`, and whether HOST or `setting` has to change."""
    number = error.errno or 0
    if _is_name_error(number):
        return f"HOST: {host} cannot be resolved ({_NAME_ERRORS[number]}); set an address of this machine."
    if number in _ADDRESS_ERRORS:
        return f"HOST: {host} is not an address of this machine: {reason(error)}; set one, or 0.0.0.0 for all."
    if number == errno.EACCES:
        return f"{setting}: {port} is reserved for privileged users: {reason(error)}; set a port from 1024."
    return f"{setting}: cannot listen on {host}:{port}: {reason(error)}; set {setting} to another port."


def _is_name_error(number: int) -> bool:
    return number in _NAME_ERRORS and number not in errno.errorcode


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, from the last to the first; of a group, only the first error."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.exceptions[0] if isinstance(one, BaseExceptionGroup) else one.__cause__ or one.__context__
