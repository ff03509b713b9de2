"""What the service is, is said in one sentence everywhere."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from click.testing import CliRunner

from proxy import SUMMARY
from proxy.cli.main import main
from proxy.pages.page import Pages

ROOT = Path(__file__).parents[1]


def output(line: str) -> str:
    return CliRunner().invoke(main, line.split(), env={"COLUMNS": "80"}).stdout


def described() -> dict[str, str]:
    """Return what each place begins with, with its line breaks as spaces."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    site = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    front = Pages().render("pages/templates/front.html", sizes=(), summary=SUMMARY, version="1").decode()
    texts = {
        "README": (ROOT / "README.md").read_text(encoding="utf-8").partition("\n\n")[2],
        "home of the documentation": (ROOT / "docs/index.md").read_text(encoding="utf-8").partition("\n\n")[2],
        "package": project["description"],
        "documentation site": site["site_description"],
        "OpenAPI": json.loads(output("openapi"))["info"]["description"],
        "command line": output("--help").partition("\n\n")[2],
        "/": front.partition('<p class="lead">')[2],
    }
    return {place: " ".join(text.split()) for place, text in texts.items()}


def test_every_introduction_begins_with_the_same_sentence() -> None:
    assert [place for place, text in described().items() if not text.startswith(SUMMARY)] == []


def test_the_api_document_names_the_licence_and_the_contact_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    told = json.loads(output("openapi"))["info"]
    assert told["license"] == {"name": project["license"], "identifier": project["license"]}
    assert told["contact"] == {"name": project["authors"][0]["name"], "url": project["urls"]["Homepage"]}
