"""`gf-images info`: what a page needs to know of one picture, from a service or a local file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from click.testing import CliRunner

from loadtest.paint import Photograph, paint
from loadtest.servers.service import running
from proxy.cli.main import main
from proxy.derivatives.picture.picture import PictureDescription

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["info", *words])


def read(result: Result) -> PictureDescription:
    assert result.exit_code == 0, result.output
    return msgspec.json.decode(result.stdout, type=PictureDescription)


def test_a_file_is_described_as_the_service_describes_it_and_nothing_is_kept(tmp_path: Path) -> None:
    photo = tmp_path / "58_1_original.jpg"
    paint(photo, Photograph(width=900, height=600))
    local = read(run(str(photo), "--json"))
    assert [path.name for path in tmp_path.iterdir()] == [photo.name]
    assert [size.url for size in local.sizes[:2]] == ["./58_1_original_small.jpg", "./58_1_original_medium.jpg"]
    with running(tmp_path / "service") as service:
        (service.store / "gall").mkdir()
        (service.store / "gall" / photo.name).write_bytes(photo.read_bytes())
        by_view = run(f"{service.url}/img/gall/{photo.name}/small", "--json")
        by_path = run(f"{service.url}/v1/images/gall/{photo.name}", "--json")
        missing = run(f"{service.url}/v1/images/gall/none_original.jpg")
    served = read(by_view)
    assert served == read(by_path)
    assert (missing.exit_code, "does not exist" in missing.stderr) == (1, True)
    assert (local.width, local.height, local.format, local.animated) == (900, 600, "jpeg", False)
    names = ("width", "height", "format", "animated", "color", "placeholder")
    assert [getattr(local, name) for name in names] == [getattr(served, name) for name in names]
    sides = [[(one.width, one.height, one.bytes, one.content_type) for one in all_.sizes] for all_ in (local, served)]
    assert sides[0] == sides[1]


def test_people_see_a_table(tmp_path: Path) -> None:
    photo = tmp_path / "[odd] name.png"
    paint(photo, Photograph(width=90, height=60))
    shown = run(str(photo)).stdout
    for text in (photo.name, "90 x 60", "png", "#", "data:image/webp;base64,", "./%5Bodd%5D%20name_small.png"):
        assert text in shown


def test_what_is_wrong_is_reported(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_bytes(b"this is not a picture")
    refused = run(str(tmp_path / "text.jpg"))
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "text.jpg" in refused.stderr
    assert run(str(tmp_path / "none.jpg")).exit_code == 1
    wrong = run("https://images.example.org/files/a.jpg")
    assert wrong.exit_code == 2
    assert "/v1/images/<key>" in wrong.stderr
    assert "does not name its original" in " ".join(wrong.stderr.split())
