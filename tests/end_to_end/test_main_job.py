"""The main job, on the real process with the embedded defaults."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest

from loadtest import demo
from loadtest.paint import Photograph, paint
from loadtest.servers.service import Service, order, running, signed, starting
from tests.pipeline.rendering import photographs
from tests.thorough import count
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTHS = {"small": 300, "medium": 800, "large": 1200, "xlarge": 2000}

FORBIDDEN = (b"Exif\0\0", b"http://ns.adobe.com/", b"GPS", b"Gall Camera", b"Photoshop 3.0", b"MPF\0", b"EXIF", b"eXIf")
"""Bytes that stand in a file only where metadata does."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service")) as one:
        yield one


def post(service: Service, key: str, *sizes: str) -> str:
    body = order(key, *sizes)
    answer = httpx.post(f"{service.url}/v1/jobs", content=body, headers=signed(body))
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    return str(answer.headers["location"])


def upload(service: Service, key: str, photograph: Photograph) -> None:
    path = service.store / key
    path.parent.mkdir(parents=True, exist_ok=True)
    paint(path, photograph)


def metric(service: Service, name: str) -> float:
    lines = httpx.get(f"http://127.0.0.1:{service.metrics_port}/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split()[0] == name)


@pytest.mark.anyio
async def test_fifty_callers_of_a_cold_key_cost_one_render_and_four_writes(service: Service) -> None:
    upload(service, "cold/1_original.jpg", Photograph(width=4000, height=3000))
    names = ("render_seconds_count", "upload_bytes_total")
    renders = metric(service, names[0])
    async with httpx.AsyncClient(base_url=service.url, timeout=60, follow_redirects=True) as client:
        answers = await asyncio.gather(*(client.get("/img/cold/1_original.jpg/medium") for _ in range(50)))
    pictures = {answer.content for answer in answers}
    assert {answer.status_code for answer in answers} == {200}
    assert len(pictures) == 1

    async def others_are_stored() -> bool:
        stored = [path for path in (service.store / "cold").iterdir() if path.suffix == ".jpg"]
        return len(stored) == 1 + 4 and metric(service, names[0]) > renders

    await until(others_are_stored)
    assert metric(service, names[0]) - renders == 1
    written = sorted(path.name for path in (service.store / "cold").iterdir())
    assert written == ["1_large.jpg", "1_medium.jpg", "1_original.jpg", "1_small.jpg", "1_xlarge.jpg"]


def test_derivatives_are_upright_never_enlarged_and_say_nothing_of_the_camera(service: Service) -> None:
    for orientation in range(1, 9):
        key = f"turned/{orientation}_original.jpg"
        upload(service, key, Photograph(width=1000, height=1500, orientation=orientation, gps=True))
        job = demo.ended(service, post(service, key))
        assert [(made.size, made.width, made.height) for made in job.derivatives] == [
            ("small", 300, 450),
            ("medium", 800, 1200),
            ("large", 1000, 1500),
            ("xlarge", 1000, 1500),
        ]
        for made in job.derivatives:
            stored = (service.store / made.key).read_bytes()
            assert not [marker for marker in FORBIDDEN if marker in stored]


def test_what_a_killed_service_had_accepted_is_done_by_the_next(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        upload(service, "photo_original.jpg", Photograph(width=2400, height=1800))
        photo = (service.store / "photo_original.jpg").read_bytes()
        for round_ in range(count(20, otherwise=4)):
            key = f"{round_}_original.jpg"
            (service.store / key).write_bytes(photo)
            location = post(service, key)
            service.kill()
            service.start()
            service.wait_until_ready()
            job = demo.ended(service, location)
            assert (job.status, job.error, len(job.derivatives)) == ("done", None, 4)
            assert [(service.store / made.key).stat().st_size for made in job.derivatives] == [
                made.bytes for made in job.derivatives
            ]


@pytest.mark.timeout(900)
def test_every_photograph_of_the_corpus_goes_through_the_whole_main_job(service: Service) -> None:
    photos = [photo for photo in photographs() if photo.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"}]
    if not photos:
        pytest.skip("no photographs here: set IMAGE_CORPUS to a folder with photos/")
    for photo in photos:
        key = demo.store_original(service, photo)
        rows = [*demo.eager(service, key), demo.lazy(service, key)]
        assert [row.size for row in rows] == list(WIDTHS), photo.name
        assert all(row.width <= WIDTHS[row.size] for row in rows), photo.name


def test_the_web_process_never_loads_libvips(service: Service) -> None:
    assert service.process is not None
    assert "libvips" not in Path(f"/proc/{service.process.pid}/maps").read_text(encoding="utf-8")


def test_every_line_of_the_log_is_one_json_event_and_a_job_can_be_followed(service: Service) -> None:
    upload(service, "log/1_original.jpg", Photograph(width=400, height=300))
    location = post(service, "log/1_original.jpg")
    demo.ended(service, location)
    events = [msgspec.json.decode(line, type=dict[str, object]) for line in service.log.read_bytes().splitlines()]
    assert all("event" in event and "time" in event and "level" in event for event in events)
    job = [event for event in events if event.get("job_id") == location.rpartition("/")[2]]
    assert [event["event"] for event in job] == ["job_queued", "job_started", "job_done"]
    assert job[0]["request_id"]


def test_asked_to_stop_it_finishes_what_runs_and_goes(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        upload(service, "1_original.jpg", Photograph(width=4000, height=3000))
        location = post(service, "1_original.jpg")
        assert service.stop() == 0
        assert (service.store / "1_xlarge.jpg").exists()
        service.start()
        service.wait_until_ready()
        assert demo.ended(service, location).attempts == 1


@pytest.mark.parametrize(
    ("settings", "description"),
    [
        ({"QUEUE": "sqlite:////proc/nowhere/queue.db"}, "QUEUE: /proc/nowhere/queue.db cannot be used"),
        ({"STORE": "file:///proc/nowhere"}, "STORE: the folder /proc/nowhere does not exist; correct the name, or"),
        ({"STORE": "file:///proc"}, "STORE: /proc cannot be used"),
        ({"PORT": "99999"}, "PORT: must be between 1 and 65535"),
    ],
)
def test_a_service_that_cannot_start_says_why_in_a_sentence(
    tmp_path: Path, settings: dict[str, str], description: str
) -> None:
    service = Service(folder=tmp_path, settings=settings)
    with starting(service):
        assert service.process is not None
        assert service.process.wait(timeout=30) in {1, 2}
    last = service.log.read_text().splitlines()[-1]
    assert last.startswith(description)
    assert "Traceback" not in service.log.read_text()


def test_ports_that_are_taken_are_named(service: Service, tmp_path: Path) -> None:
    for name, taken in (("METRICS_PORT", service.metrics_port), ("PORT", service.port)):
        other = Service(folder=tmp_path, settings={name: str(taken)})
        with starting(other):
            assert other.process is not None
            assert other.process.wait(timeout=30) == 1
        assert str(taken) in other.log.read_text().splitlines()[-1]
        other.log.unlink()
