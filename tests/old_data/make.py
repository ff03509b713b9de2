"""Makes the files of `tests/old_data`, as commit 99a1d56 of this service left them on disk.

Run by that commit's code and environment, from a checkout of it:

    git worktree add ../old 99a1d56 && cd ../old && make dev
    PYTHONPATH=. .venv/bin/python .../tests/old_data/make.py .../tests/old_data

It makes three folders, each with a file store, `sizes.toml`, and `etags.json`: the ETag of every blob. An ETag of a
file store contains the number of an inode, so whoever copies a folder must replace these by the new ones. The store's
sidecars lie beside it, in `sidecars`: in the store their folder has a control character in its name.

- `service`: a queue with jobs in every state, and the callbacks that are owed for them. Its folder of lock files is
  left out: all processes that held jobs are dead.
- `reprocess`: a run that was killed before its end, one of whose originals failed.
- `compare`: a shadow, a comparison that was killed before its end, and the report of one that was finished.

Photographs are painted. Nothing in a queue expires before 2100, and no traceback in it has a folder of this machine.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from loadtest.paint import Photograph, paint
from loadtest.servers.service import Service, order, signed, started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZES = "[sizes.small]\nwidth = 60\n[sizes.large]\nwidth = 240\n"
RECEIVER = "http://127.0.0.1:9"
"""Nobody listens there, so callbacks stay owed."""

HIDDEN = "\x7fgallformers"
"""The store's folder for what is not a blob."""

YEAR_2100 = 4_102_444_800.0
DEADLINE_SECONDS = 60.0
LOOK_EVERY_SECONDS = 0.005

Json = dict[str, Any]


def original(number: int) -> str:
    """Return the key of an original."""
    return f"gall/{number}/{number}_original.jpg"


def until(look: Callable[[], object]) -> None:
    """Look until there is something to see."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not look():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(LOOK_EVERY_SECONDS)


def put(folder: Path, number: int, photograph: Photograph | None = None) -> Path:
    """Paint an original into the store of a folder."""
    path = folder / "store" / original(number)
    path.parent.mkdir(parents=True, exist_ok=True)
    paint(path, photograph or Photograph(width=300, height=200, gps=True, seed=number))
    return path


def put_broken(folder: Path, number: int) -> None:
    """Put something that is no picture where an original would be."""
    path = folder / "store" / original(number)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("This is no photograph.\n")


def write_etags(folder: Path) -> None:
    """Keep the ETag of each blob, as a file store makes it."""
    store = folder / "store"
    etags = {str(path.relative_to(store)): etag(path) for path in sorted(store.rglob("*.jpg"))}
    (folder / "etags.json").write_bytes(msgspec.json.format(msgspec.json.encode(etags)) + b"\n")


def etag(path: Path) -> str:
    """Return the ETag of a file."""
    stat = path.stat()
    return f"{stat.st_mtime_ns:x}-{stat.st_size:x}-{stat.st_ino:x}"


# The service


def make_service(folder: Path) -> None:
    """Leave jobs in every state: done, failed, put off, queued, and a run's that a killed process had begun."""
    settings = {"SIZES_FILE": str(folder / "sizes.toml"), "CALLBACK_HOSTS": RECEIVER, "JOB_KEEP_DAYS": "365"}
    working, idle = {**settings, "WORKERS": "1"}, {**settings, "WORKERS": "0"}
    for number in (1, 5):
        put(folder, number)
    put_broken(folder, 2)
    put(folder, 4, Photograph(width=6000, height=4000))  # rendering it takes long enough to be killed in the middle
    with started(Service(folder=folder, settings=working)) as service, httpx.Client(base_url=service.url) as client:
        work_jobs(client)
    with started(Service(folder=folder, settings=idle)) as service, httpx.Client(base_url=service.url) as client:
        batch = queue_jobs(client, service)
    service = Service(folder=folder, settings=working)
    service.start()
    service.wait_until_ready()
    with httpx.Client(base_url=service.url) as client:
        until(lambda: job(client, batch)["status"] == "processing")
    service.cut_power()
    put(folder, 4)
    finish_queue(folder)
    for name in ("log.jsonl", "scratch", "queue.db-lock", "queue.db.owners", "run"):
        remove(folder / name)
    write_etags(folder)


def work_jobs(client: httpx.Client, *, done: int = 1, failed: int = 2, absent: int = 3) -> None:
    """Have one job done and one failed, whose callbacks stay owed, and one put off, as its original is not there."""
    done_job = post(client, done, callback=True)
    until(lambda: job(client, done_job)["status"] == "done")
    failed_job = post(client, failed, callback=True)
    until(lambda: job(client, failed_job)["status"] == "error")
    absent_job = post(client, absent)
    until(lambda: job(client, absent_job).get("retry") or job(client, absent_job).get("put_off"))


def queue_jobs(client: httpx.Client, service: Service) -> str:
    """Have a run queue a job and post another, where nobody works them; return the id of the run's job."""
    words = "reprocess", "--through-queue", "--prefix", "gall/4/", "--json", "--state", str(service.folder / "run")
    run = subprocess.Popen([*service.program, *words], env=service.environment(), stdout=subprocess.DEVNULL)
    try:
        until(lambda: any(one["key"] == original(4) for one in jobs(client)))
    finally:
        run.kill()
        run.wait()
    post(client, 5, callback=True)
    return next(str(one["id"]) for one in jobs(client) if one["key"] == original(4))


def post(client: httpx.Client, number: int, *, callback: bool = False) -> str:
    """Post a job; return its id."""
    body = order(original(number), callback_url=f"{RECEIVER}/{number}" if callback else "")
    return str(client.post("/v1/jobs", content=body, headers=signed(body)).raise_for_status().json()["id"])


def job(client: httpx.Client, job_id: str) -> Json:
    """Return what is known of a job."""
    found: Json = client.get(f"/v1/jobs/{job_id}").raise_for_status().json()
    return found


def jobs(client: httpx.Client) -> list[Json]:
    """List all jobs."""
    headers = signed(b"GET /v1/jobs")
    found: list[Json] = client.get("/v1/jobs", headers=headers).raise_for_status().json()["jobs"]
    return found


def finish_queue(folder: Path) -> None:
    """Bring the queue into one small file of which nothing expires soon, without the folders of this machine."""
    with closing(sqlite3.connect(folder / "queue.db", isolation_level=None)) as connection:
        for place in (str(Path.cwd()), sys.base_prefix):
            connection.execute("UPDATE jobs SET body = replace(body, ?, '/srv')", (place,))
        connection.execute("UPDATE jobs SET expires = ? WHERE expires IS NOT NULL", (YEAR_2100,))
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("VACUUM")


# The runs, which are killed at an event


def make_reprocess(folder: Path) -> None:
    """Leave a run that was killed when the first, second and fourth of six originals were over; the second failed."""
    for number in (1, 4, 5, 6):
        put(folder, number)
    put_broken(folder, 2)
    put(folder, 3, Photograph(width=6000, height=4000))  # takes longer than the fourth
    words = "reprocess", "--state", "state", "--workers", "2", "--rate", "5/s", "--max-failures", "100%"
    with running(folder, *words) as events:
        for _ in range(3):
            next(of(events, "original"))
    put(folder, 3)
    checkpoint = msgspec.json.decode((folder / "state" / "checkpoint.json").read_bytes())
    if (checkpoint["after"], checkpoint["done"]) != (original(2), [original(4)]):
        raise RuntimeError(f"killed at another moment: {checkpoint}")
    remove(folder / "state" / "lock")
    write_etags(folder)


def make_compare(folder: Path) -> None:
    """Leave a shadow, a comparison that was killed after its first finding, and a finished one.

    On the live side each small one is another picture, and one large one is missing.
    """
    for number in range(1, 7):
        put(folder, number)
    run(folder, "reprocess", "--state", "state")
    run(folder, "reprocess", "--state", "state", SHADOW_PREFIX="shadow/")
    remove(folder / "state")
    for number in range(1, 7):
        paint(folder / "store" / f"gall/{number}/{number}_small.jpg", Photograph(width=60, height=40, noise=80))
    remove(folder / "store/gall/2/2_large.jpg")
    sides = "compare", "--old", "prefix:", "--new", "prefix:shadow/", "--processes", "1"
    run(folder, *sides, "--report", "finished", code=1)
    with running(folder, *sides, "--report", "unfinished") as events:
        next(of(events, "differs"))
    with closing(sqlite3.connect(folder / "unfinished" / "progress.db")) as connection:
        ((seen_to,),) = connection.execute("SELECT count(*) FROM originals").fetchall()
        connection.execute("PRAGMA journal_mode = DELETE")
    if not 0 < seen_to < 6:
        raise RuntimeError(f"killed too late or too early: {seen_to}")
    for name in ("finished/index.html", "finished/pictures", "unfinished/work", "unfinished/pictures"):
        remove(folder / name)
    write_etags(folder)


@contextmanager
def running(folder: Path, *words: str) -> Iterator[Iterator[Json]]:
    """Lend the events of a command that is killed at the end of the block."""
    process = subprocess.Popen(command(*words), cwd=folder, env=environment(), stdout=subprocess.PIPE)
    try:
        yield map(msgspec.json.decode, process.stdout or ())
    finally:
        process.kill()
        process.wait()


def of(events: Iterator[Json], name: str) -> Iterator[Json]:
    """Yield the events of a name."""
    return (event for event in events if event["event"] == name)


def run(folder: Path, *words: str, code: int = 0, **settings: str) -> None:
    """Run a command to its end, which has to be `code`."""
    ended = subprocess.run(command(*words), cwd=folder, env=environment() | settings, capture_output=True, check=False)
    if ended.returncode != code:
        raise RuntimeError(ended.stdout.decode() + ended.stderr.decode())


def command(*words: str) -> list[str]:
    """Return the command that runs `gf-images` with these words."""
    return [sys.executable, "-m", "proxy", *words, "--json"]


def environment() -> dict[str, str]:
    """Return the settings: relative, because a checkpoint names its store."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path.cwd()),
        "STORE": "file://store",
        "SIZES_FILE": "sizes.toml",
    }


def remove(path: Path) -> None:
    """Remove a file or a folder that need not be there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def main(out: Path) -> None:
    """Make all folders anew."""
    for name, make in (("service", make_service), ("reprocess", make_reprocess), ("compare", make_compare)):
        folder = out.resolve() / name
        remove(folder)
        folder.mkdir(parents=True)
        (folder / "sizes.toml").write_text(SIZES)
        make(folder)
        hidden = folder / "store" / HIDDEN
        (hidden / "sidecars").rename(folder / "sidecars")
        remove(hidden)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
