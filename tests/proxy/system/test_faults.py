"""Messages for errors of the operating system: which setting, which path or address, which error."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import TYPE_CHECKING

import pytest

from proxy.cli.serve import listening
from proxy.errors import CannotStart, StoreUnavailable
from proxy.observability.exposition import serving_metrics
from proxy.system.faults import bind_fault, path_fault, reason, system_error, with_reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

SERVERS = [(listening, "PORT"), (serving_metrics, "METRICS_PORT")]


def refusal(server: Callable[..., AbstractContextManager[object]], *, host: str, port: int) -> str:
    with pytest.raises(CannotStart) as fault, server(host=host, port=port):
        pass
    return str(fault.value)


@pytest.mark.parametrize(("server", "setting"), SERVERS)
def test_a_port_in_use_is_the_ports_fault(server: Callable[..., AbstractContextManager[object]], setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = refusal(server, host="127.0.0.1", port=taken.getsockname()[1])
    assert said.startswith(f"{setting}: ")
    assert said.endswith(f"Address already in use (EADDRINUSE); set {setting} to another port.")


@pytest.mark.parametrize(("server", "setting"), SERVERS)
@pytest.mark.parametrize(
    ("host", "name"), [("192.0.2.1", "EADDRNOTAVAIL"), ("2001:db8::1", ""), ("nowhere.invalid", "EAI_")]
)
def test_an_address_that_is_not_this_machines_is_the_hosts_fault(
    server: Callable[..., AbstractContextManager[object]], setting: str, host: str, name: str
) -> None:
    said = refusal(server, host=host, port=0)
    assert said.startswith(f"HOST: {host} ")
    assert name in said
    assert setting not in said


def test_a_privileged_port_is_the_ports_fault() -> None:
    error = PermissionError(errno.EACCES, "Permission denied")
    said = bind_fault(error, host="127.0.0.1", port=80, setting="PORT")
    assert said == "PORT: 80 is reserved for privileged users: Permission denied (EACCES); set a port from 1024."


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="directory") as fault:
        (tmp_path / "file" / "a" / "b").mkdir(parents=True)
    assert path_fault(fault.value, tmp_path / "file" / "a") == f"{tmp_path}/file is not a directory (ENOTDIR)"
    with pytest.raises(FileExistsError) as exists:
        (tmp_path / "file").mkdir(exist_ok=True)
    assert path_fault(exists.value, tmp_path / "file") == f"{tmp_path}/file is not a directory (EEXIST)"
    full = OSError(errno.ENOSPC, "full")
    assert path_fault(full, tmp_path) == f"{tmp_path} cannot be used: No space left on device (ENOSPC)"


def test_the_cause_of_an_error_is_found_however_deep_it_is() -> None:
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    group = OSError("all attempts failed")
    group.__cause__ = ExceptionGroup("attempts", [refused, OSError(errno.EHOSTUNREACH, "unreachable")])
    error = StoreUnavailable("It cannot be reached.")
    error.__cause__ = group
    late = TimeoutError("no answer")
    late.__context__ = error
    assert system_error(late) is refused
    assert system_error(StoreUnavailable("no cause")) is None
    error.__cause__ = late  # a circle
    assert system_error(late) is None


def test_a_reason_has_the_name_of_the_error() -> None:
    assert reason(ConnectionRefusedError(errno.ECONNREFUSED, "x")) == "Connection refused (ECONNREFUSED)"
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    assert reason(unknown) == "Name or service not known (EAI_NONAME)"
    assert reason(ssl.SSLError(1, "wrong version number")).startswith("TLS failed: ")
    invalid = ssl.SSLCertVerificationError(1, "x")
    invalid.verify_message = "self-signed certificate"
    assert reason(invalid) == "the certificate is not valid: self-signed certificate"


@pytest.mark.parametrize(
    ("sentence", "cause", "said"),
    [
        ("It does not answer.", None, "It does not answer"),
        ("It fails: Connection refused.", None, "It fails: Connection refused (ECONNREFUSED)"),
        ("It fails.", ConnectionResetError(errno.ECONNRESET, "x"), "It fails: Connection reset by peer (ECONNRESET)"),
        ("Connection refused.", ConnectionRefusedError(errno.ECONNREFUSED, "x"), "Connection refused (ECONNREFUSED)"),
    ],
)
def test_the_name_of_an_error_is_added_once(sentence: str, cause: OSError | None, said: str) -> None:
    assert with_reason(sentence, cause) == said
