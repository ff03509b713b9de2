"""The programs that are compared: how each is started, and the address at which it has a photograph in a width."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import httpx

from loadtest.servers.ports import free_port
from loadtest.servers.service import Service, started
from tests.benchmarks.peers import process_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

WIDTHS: Final[Mapping[str, int]] = {"small": 300, "medium": 800, "large": 1200, "xlarge": 2000}
"""The sizes of the service, by their names."""

START_SECONDS = 30.0
ROOT = Path(__file__).parents[3]
_SERVER = Path(__file__).parent / "programs" / "with_sharp_server.js"

KNOWN_ADDRESSES: Final = {
    "imgproxy": "/unsafe/rs:fit:{width}:0/{q}plain/{origin}/{key}",
    "imagor": "/unsafe/fit-in/{width}x16383/filters:{f}/{origin}/{key}",
    "oximg": "/w:{width}/{q}plain/{origin}/{key}",
}
"""The paths of peers that are measured by their address; `{q}` and `{f}` become the quality, if one is requested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A running contender: its process, and the path of a key in a width; quality 0 is its default."""

    pid: int
    url: str
    path: Callable[[str, int, int], str]

    def address(self, key: str, width: int, quality: int = 0) -> str:
        """Return the address of a photograph."""
        return f"{self.url}{self.path(quote(key), width, quality)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A program that is measured: its name, and what starts it on a folder of originals.

    `entry` is a prefix of its command, such as one that moves it into a control group.
    """

    name: str
    run: Callable[[Path, tuple[str, ...]], Iterator[Endpoint]]
    is_ours_to_start: bool = True
    """Whether it is started for the benchmark, so that it can be started in a control group."""

    @contextmanager
    def started(self, originals: Path, entry: tuple[str, ...] = ()) -> Iterator[Endpoint]:
        """Start it on the folder, yield it when it answers, and stop it."""
        yield from self.run(originals, entry)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """This service, or another checkout of it, as a contender; `settings` are those of its environment."""

    name: str
    checkout: Path = ROOT
    settings: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[tuple[int, int], str] = field(
        default_factory=lambda: {(width, 0): name for name, width in WIDTHS.items()}
    )
    """The name of the size for a width and a quality."""

    def contender(self) -> Contender:
        """Return the contender."""
        return Contender(name=self.name, run=self._run)

    def _run(self, originals: Path, entry: tuple[str, ...]) -> Iterator[Endpoint]:
        program = (*entry, "env", f"PYTHONPATH={self.checkout}", sys.executable, "-P", "-m", "proxy")
        settings = {"STORE": f"file://{originals}", "LOG_LEVEL": "WARNING", **self.settings}
        folder = originals.parent / f"service-{free_port()}"
        with started(Service(folder=folder, settings=settings, program=program)) as service:
            if service.process is None:
                raise RuntimeError("The service did not start.")
            yield Endpoint(
                pid=service.process.pid,
                url=service.url,
                path=lambda key, width, quality: f"/img/{key}/{self.sizes[width, quality]}",
            )


def ipx(tools: Path, *, is_bounded: bool = False) -> Contender:
    """Return ipx with its defaults, or with one thread a render and two renders at once."""
    command = ["node", str(tools / "node_modules" / ".bin" / "ipx"), "serve", "--dir"]
    bounds = {"UV_THREADPOOL_SIZE": "2", "VIPS_CONCURRENCY": "1", "MALLOC_ARENA_MAX": "1"} if is_bounded else {}

    def run(originals: Path, entry: tuple[str, ...]) -> Iterator[Endpoint]:
        port = free_port()
        environment = {"HOST": "127.0.0.1", "PORT": str(port), **bounds}
        yield from _running([*entry, *command, str(originals)], port, _ipx_path, environment)

    return Contender(name="ipx, bounded" if is_bounded else "ipx", run=run)


def sharp(tools: Path, *, is_bounded: bool = False) -> Contender:
    """Return a server around sharp with its defaults, or with one thread a render and two renders at once."""
    environment = {"NODE_PATH": str(tools / "node_modules"), **({"MALLOC_ARENA_MAX": "1"} if is_bounded else {})}

    def run(originals: Path, entry: tuple[str, ...]) -> Iterator[Endpoint]:
        port = free_port()
        bounds = ["2"] if is_bounded else []
        command = [*entry, "node", str(_SERVER), str(port), str(originals), *bounds]
        yield from _running(command, port, lambda key, width, quality: f"/{width}/{quality}/{key}", environment)

    return Contender(name="sharp, bounded" if is_bounded else "sharp", run=run)


def thumbor(tools: Path, *, is_bounded: bool = False) -> Contender:
    """Return thumbor with its defaults and a folder of originals, or also with a store of its results."""

    def run(originals: Path, entry: tuple[str, ...]) -> Iterator[Endpoint]:
        port = free_port()
        config = originals.parent / f"thumbor-{port}.conf"
        results = originals.parent / f"thumbor-{port}"
        stored = "RESULT_STORAGE = 'thumbor.result_storages.file_storage'\n"
        stored += f"RESULT_STORAGE_FILE_STORAGE_ROOT_PATH = {str(results)!r}\nRESULT_STORAGE_STORES_UNSAFE = True\n"
        config.write_text(
            f"LOADER = 'thumbor.loaders.file_loader'\nFILE_LOADER_ROOT_PATH = {str(originals)!r}\n"
            f"STORAGE = 'thumbor.storages.no_storage'\n{stored if is_bounded else ''}",
            encoding="utf-8",
        )
        program = str(tools / "venv" / "bin" / "thumbor")
        command = [*entry, program, "--ip", "127.0.0.1", "--port", str(port), "--conf", str(config)]
        yield from _running([*command, "--log-level", "critical"], port, _thumbor_path, {})

    return Contender(name="thumbor, results stored" if is_bounded else "thumbor", run=run)


def nginx(tools: Path) -> Contender:
    """Return nginx, which sends the original as it is, and a redirect for every path below `/redirect/`."""
    program = str(tools / "debian" / "usr" / "sbin" / "nginx")

    def run(originals: Path, entry: tuple[str, ...]) -> Iterator[Endpoint]:
        port = free_port()
        folder = originals.parent / f"nginx-{port}"
        folder.mkdir()
        own = " ".join(f"{kind}_temp_path {folder};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log stderr crit; events {{}}\n"
            f"http {{ access_log off; {own} sendfile on; keepalive_requests 1000000; types {{ image/jpeg jpg; }}\n"
            f"server {{ listen 127.0.0.1:{port}; root {originals};\n"
            "location /redirect/ { return 302 /elsewhere; } } }\n",
            encoding="utf-8",
        )
        command = [*entry, program, "-c", str(folder / "nginx.conf"), "-e", "stderr"]
        yield from _running(command, port, lambda key, _, __: f"/{key}", {})

    return Contender(name="nginx", run=run)


def by_address(told: str, origin: str) -> Contender:
    """Return a contender that runs already, from `NAME=URL`; `origin` is the URL of the originals.

    The path follows the name: that of imgproxy, imagor or oximg, or what follows the port, with `{width}`, `{key}`,
    `{origin}` and perhaps `{quality}` in it.

    Raises:
        ValueError: it has no name, or neither a known name nor a path.
    """
    name, is_named, url = told.partition("=")
    template = urlsplit(url).path or KNOWN_ADDRESSES.get(name.partition("-")[0], "")
    if not (is_named and "{width}" in template and "{key}" in template):
        raise ValueError(f"{told!r} must be NAME=URL; only imgproxy, imagor and oximg need no path with {{width}}.")
    base = url.removesuffix(urlsplit(url).path)

    def path(key: str, width: int, quality: int) -> str:
        q, f = (f"q:{quality}/", f"quality({quality})") if quality else ("", "")
        return template.format(width=width, key=key, origin=origin, quality=quality or 80, q=q, f=f)

    def run(_: Path, __: tuple[str, ...]) -> Iterator[Endpoint]:
        yield Endpoint(pid=process_tree.listening_on(urlsplit(base).port or 80), url=base, path=path)

    return Contender(name=name, run=run, is_ours_to_start=False)


def _ipx_path(key: str, width: int, quality: int) -> str:
    return f"/w_{width}{f',q_{quality}' if quality else ''}/{key}"


def _thumbor_path(key: str, width: int, quality: int) -> str:
    return f"/unsafe/{width}x0/filters:no_upscale(){f':quality({quality})' if quality else ''}/{key}"


def _running(
    command: list[str], port: int, path: Callable[[str, int, int], str], environment: Mapping[str, str]
) -> Iterator[Endpoint]:
    own = {"PATH": "/usr/local/bin:/usr/bin:/bin", **environment}
    with subprocess.Popen(command, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for(url, process)
            yield Endpoint(pid=process.pid, url=url, path=path)
        finally:
            process.terminate()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.TransportError):
            httpx.get(url)
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not answer.")
