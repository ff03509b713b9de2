"""What the pages say, and what their forms do."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from PIL import Image

from proxy.ui.show import duration
from tests.proxy.http.conftest import painted
from tests.proxy.ui.conftest import Browser, browsing, words

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

HOSTILE = "gall/<img onerror=alert(1)>\u202egpj.exe_original.jpg"
ADDRESS = quote(HOSTILE)


async def uploaded(browser: Browser, name: str, body: bytes = b"") -> str:
    """Upload a file as the page does, and return the id of its job."""
    order = await browser.send("/uploads", name=name)
    assert order.status_code == 201, order.text
    stored = await browser.client.put(order.json()["path"], content=body or painted(480, 360))
    assert stored.status_code == 201, stored.text
    return str(stored.json()["id"])


async def test_the_first_page_is_small_and_takes_the_formats_of_originals(browser: Browser) -> None:
    page = await browser.get("/")
    assets = [await browser.get(path) for path in assets_of(page.text)]
    assert len(page.content) + sum(len(asset.content) for asset in assets) < 80_000
    assert "image/heic" in page.text


def assets_of(page: str) -> list[str]:
    return [
        part.partition('"')[0]
        for part in page.replace('href="/assets', '"/assets').split('"')
        if part.startswith("/assets")
    ]


async def test_an_upload_is_followed_until_its_sizes_are_there(browser: Browser) -> None:
    job_id = await uploaded(browser, "a gall.jpg")
    async with browser.client.stream("GET", f"/jobs/{job_id}/events") as events:
        body = "".join([chunk async for chunk in events.aiter_text()])
    assert "event: end" in body
    assert body.count('<figure class="size"') == 4
    assert "Stored 4 of 4 sizes" in body
    assert "&lt;picture&gt;" in body
    assert "Compare with the original" in body
    assert f'id="snippet-{job_id}"' in body
    job = await browser.done(job_id)
    page = words(await browser.get(f"/jobs/{job_id}"))
    assert "Stored 4 of 4 sizes" in page
    timings = job["timings"]
    assert isinstance(timings, dict)
    assert {*timings["ready_seconds"]} == {"small", "medium", "large", "xlarge"}
    for name, seconds in timings["ready_seconds"].items():
        assert seconds > 0
        assert f"{name} after {duration(seconds)}" in page
        assert page.count(f"ready after {duration(seconds)}") >= 1
    recent = (await browser.get("/")).text
    assert str(job["key"]).rpartition("/")[2] in recent


@pytest.mark.parametrize("name", ["Дуб.jpg", "橡树.jpg", "عفصة.jpg", "🌳.jpg", f"{'я' * 125}.jpg", ".jpg"])
async def test_a_file_of_any_name_is_stored_rendered_and_found(browser: Browser, name: str) -> None:
    keys = [str((await browser.done(await uploaded(browser, name)))["key"]) for _ in range(2)]
    assert len({*keys}) == 2
    for key in keys:
        page = await browser.get(f"/pictures/{quote(key)}")
        assert "Not rendered yet" not in words(page)
        assert key.rpartition("/")[2] in words(page)
        assert (await browser.get(f"/stored/{quote(key.replace('_original', '_small'))}")).status_code == 200
    assert words(await browser.get(f"/jobs?key={quote(keys[0])}")).count(keys[0]) == 1


async def test_a_job_that_is_unknown_has_a_page_that_says_so(browser: Browser) -> None:
    page = await browser.get("/jobs/0123456789abcdef0123456789abcdef")
    assert page.status_code == 404
    assert "No job has the id" in words(page)
    assert (await browser.get("/jobs/0123456789abcdef0123456789abcdef/events")).status_code == 404


async def test_a_failed_job_is_listed_with_its_cause_and_all_of_a_cause_run_again(browser: Browser) -> None:
    jobs = [await uploaded(browser, f"{name}.jpg", b"\xff\xd8\xff\xe0" + bytes(3000)) for name in ("one", "two")]
    codes = {str((await browser.done(job_id))["error"]["code"]) for job_id in jobs}  # type: ignore[index] # a job
    (code,) = codes
    page = await browser.get("/jobs?status=error")
    assert f'name="code" value="{code}"' in page.text
    assert f"/problems/{code}" in page.text
    assert (await browser.send("/jobs/replay", code=code)).headers["location"] == f"/jobs?code={code}"
    for job_id in jobs:
        await browser.done(job_id)
    answer = await browser.client.post(
        f"/jobs/{jobs[0]}/replay", data={"form_token": await browser.token()}, headers={"hx-request": "true"}
    )
    assert answer.text.count('class="job"') == 1


async def test_jobs_are_found_by_a_part_of_their_key(browser: Browser) -> None:
    await browser.done(await uploaded(browser, "Needle 1.jpg"))
    await browser.done(await uploaded(browser, "haystack.jpg"))
    found = words(await browser.get("/jobs?key=NEEDLE"))
    assert "needle-1" in found
    assert "haystack" not in found.partition("Found")[2]
    assert "No job matches" in words(await browser.get("/jobs?key=nothing%22of%25this"))
    assert (await browser.get("/jobs?cursor=nonsense")).status_code == 400
    assert (await browser.get("/jobs?status=nonsense&limit=9")).status_code == 200


async def test_the_queue_is_paused_and_resumed(browser: Browser) -> None:
    assert (await browser.send("/queue/pause")).status_code == 303
    assert "The queue is paused" in words(await browser.get("/jobs"))
    job_id = await uploaded(browser, "waits.jpg")
    assert "Waits for a worker" in words(await browser.get(f"/jobs/{job_id}"))
    assert (await browser.send(f"/jobs/{job_id}/cancel")).status_code == 303
    assert "cancelled" in words(await browser.get(f"/jobs/{job_id}"))
    assert (await browser.send("/queue/resume")).status_code == 303
    assert "The queue is paused" not in words(await browser.get("/jobs"))


async def test_the_grid_has_pages_and_every_original_once(tmp_path: Path) -> None:
    async with browsing(tmp_path) as browser:
        for number in range(100):
            browser.site.upload(f"gall/{number:03}/{number}_original.jpg", width=8, height=8)
        seen: list[str] = []
        path = "/pictures?prefix=gall%2F"
        while path:
            page = (await browser.get(path)).text
            seen += [part.partition('"')[0] for part in page.split('href="/pictures/')[1:]]
            following = page.partition("Next page")[0].rpartition('href="')[2]
            path = following.partition('"')[0].replace("&amp;", "&") if "Next page" in page else ""
        assert seen == [f"gall/{number:03}/{number}_original.jpg" for number in range(100)]


async def test_a_picture_is_not_rendered_by_looking_at_it(browser: Browser, key: str) -> None:
    browser.site.upload(key)
    page = await browser.get(f"/pictures/{key}")
    assert "Not rendered yet: small, medium, large, xlarge" in words(page)
    assert not (browser.site.store / key.replace("original", "small")).exists()
    assert "not rendered yet" in words(await browser.get("/pictures"))


async def test_a_picture_is_rendered_purged_and_taken_down(browser: Browser, key: str) -> None:
    browser.site.upload(key)
    path, name, small = (
        f"/pictures/{key}",
        key.rpartition("/")[2],
        browser.site.store / key.replace("original", "small"),
    )
    job = (await browser.send(path, action="render")).headers["location"]
    await browser.done(job.rpartition("/")[2])
    page = await browser.get(path)
    assert "&lt;picture&gt;" in page.text
    assert "srcset=" in words(page)
    assert small.exists()
    for action in ("purge", "takedown"):
        assert (await browser.send(path, action=action, name="another.jpg")).status_code == 400
        assert small.exists()
    assert (await browser.send(path, action="")).status_code == 400
    assert (await browser.send(path, action="purge", name=name)).status_code == 303
    assert not small.exists()
    asked = await browser.get(f"{path}?confirm=takedown")
    assert f"{name}" in words(asked).partition("What will go")[2]
    job = (await browser.send(path, action="takedown", name=name)).headers["location"]
    await browser.done(job.rpartition("/")[2])
    assert "What was removed" in words(await browser.get(job))
    gone = await browser.get(path)
    assert gone.status_code == 404
    assert "was taken down" in words(gone)


async def test_a_stale_size_says_why(browser: Browser, key: str) -> None:
    browser.site.upload(key)
    await browser.done((await browser.send(f"/pictures/{key}", action="render")).headers["location"].rpartition("/")[2])
    browser.site.upload(key, width=300, height=200)
    assert "replaced original" in words(await browser.get(f"/pictures/{key}"))


async def test_facts_are_read_on_request_and_the_place_on_another(browser: Browser, key: str) -> None:
    browser.site.upload(key)
    assert "SHA-256" not in words(await browser.get(f"/pictures/{key}"))
    read = words(await browser.get(f"/pictures/{key}?facts=read"))
    assert "SHA-256" in read
    assert "none in the file" in read


async def test_hostile_names_are_text(browser: Browser) -> None:
    browser.site.upload(HOSTILE)
    for path in (f"/pictures/{ADDRESS}", "/pictures", f"/pictures/{ADDRESS}?confirm=takedown"):
        page = await browser.get(path)
        assert "<img onerror" not in page.text
        assert "\u202e" not in page.text.partition("<main")[2].replace(f'value="{HOSTILE}"', ""), path
    assert (await browser.get("/pictures/" + "x" * 2000)).status_code == 400
    assert (await browser.get("/pictures/%ff_original.jpg")).status_code == 400


async def test_hostile_metadata_is_text(browser: Browser, key: str) -> None:
    exif = Image.Exif()
    exif[0x013B] = "<img src=x onerror=alert(1)>"
    exif[0x8298] = '"><script>alert(1)</script>' + "x" * 1024
    path = browser.site.store / key
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (80, 60)).save(path, exif=exif)
    page = await browser.get(f"/pictures/{key}?facts=read")
    assert "<img src=x" not in page.text
    assert "<script>alert" not in page.text
    assert "<img src=x onerror=alert(1)>" in words(page)


async def test_stored_files_are_private_and_only_pictures(browser: Browser, key: str) -> None:
    browser.site.upload(key)
    found = await browser.get(f"/stored/{key}")
    assert found.headers["cache-control"] == "private, no-cache"
    assert found.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert "immutable" in (await browser.get(f"/stored/{key}?v=1")).headers["cache-control"]
    for path in ("queue.db", "../queue.db", "%2e%2e/queue.db", ".gf/x_original.jpg"):
        assert (await browser.get(f"/stored/{path}")).status_code in (400, 404, 502)


async def test_the_status_has_the_numbers_of_the_series_and_no_secret(tmp_path: Path) -> None:
    secret = "whsec_" + "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw"
    async with browsing(tmp_path, callback_secrets=secret, ui_password="") as browser:
        page = await browser.get("/status")
    assert "queue_depth" in page.text
    assert "<svg" in page.text
    assert "CALLBACK_SECRETS" in page.text
    assert secret not in page.text


async def test_paths_have_the_prefix_that_a_proxy_strips(tmp_path: Path) -> None:
    async with browsing(tmp_path, base_path="/images") as browser:
        page = await browser.get("/")
        assert 'action="' not in page.text or 'href="/images/jobs"' in page.text
        assert 'data-order="/images/uploads"' in page.text
        order = await browser.send("/uploads", name="a.jpg")
        assert order.json()["path"].startswith("/images/v1/uploads/")
        assert (await browser.send("/queue/pause")).headers["location"] == "/images/jobs"


async def test_a_method_that_a_page_does_not_have_is_refused(browser: Browser) -> None:
    token = await browser.token()
    for path in ("/pictures", "/status"):
        assert (await browser.send(path, token=token)).status_code == 405
