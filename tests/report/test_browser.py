"""The HTML report in Chromium without a screen: nothing sticks out, nothing complains, nothing is loaded."""

import http.server
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from netwright.report.page import Extras, Panel, Picture, render
from netwright.report.records import read_records
from tests.report.test_page import NASTY, PNG, write_run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on the PATH")
# A browser without a screen is at least 500 pixels wide, so the page is laid out in a frame of the width in question.
MEASURE = """<!DOCTYPE html><title>waiting</title>
<iframe src="report.html" style="width:{width}px;height:900px;border:0">
</iframe><script>addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument, root = page.documentElement;
  page.querySelectorAll("details").forEach(each => each.open = true);
  const headings = page.querySelectorAll("h2").length;
  document.title = `wide ${{root.scrollWidth}} of ${{root.clientWidth}}, headings ${{headings}}`;
}});</script>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, list[str]]]:
    """A local server of a folder with a report of hostile names; its address, the folder, and what was asked for."""
    folder = tmp_path_factory.mktemp("site")
    run = write_run(folder / "run", NASTY, splits=("val", "test"), num=80)
    pictures = {split: {row: Picture(PNG, 1, 1) for row in range(80)} for split in ("val", "test")}
    panels = [Panel("Where it looks", "A sentence.", [(Picture(PNG, 1, 1), NASTY[8])] * 3)]
    (folder / "report.html").write_bytes(render(read_records(run), Extras(pictures, panels=panels)))
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *given: Any, **options: Any) -> None:
            super().__init__(*given, directory=str(folder), **options)

        def log_message(self, format: str, *arguments: Any) -> None:
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", folder, asked
    server.shutdown()
    server.server_close()


def browse(profile: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Chromium once, without a screen, an account or a network of its own."""
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--disable-sync", "--no-first-run", "--disable-dev-shm-usage", f"--user-data-dir={profile}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_page(site: tuple[str, Path, list[str]], tmp_path: Path, width: int) -> None:
    address, folder, _ = site
    (folder / f"measure-{width}.html").write_text(MEASURE.format(width=width), encoding="utf-8")
    page = browse(tmp_path, "--window-size=1400,1000", "--dump-dom", f"{address}/measure-{width}.html").stdout
    found = re.search(r"<title>wide (\d+) of (\d+), headings (\d+)</title>", page)
    assert found, page[:300]
    assert int(found[1]) <= int(found[2]) <= width
    assert int(found[3]) >= 10


def test_it_asks_for_nothing_and_the_console_is_silent(site: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    address, _, asked = site
    asked.clear()
    done = browse(tmp_path, "--enable-logging=stderr", "--v=0", "--dump-dom", f"{address}/report.html")
    assert asked == ["/report.html"]
    assert "CONSOLE" not in done.stderr
    assert "alert(1)" in done.stdout  # as text


@pytest.mark.parametrize(("scheme", "dark"), [(0, True), (1, False)])
def test_it_follows_dark_and_light(site: tuple[str, Path, list[str]], tmp_path: Path, scheme: int, dark: bool) -> None:
    shot = tmp_path / "shot.png"
    settings = f"--blink-settings=preferredColorScheme={scheme}"
    browse(tmp_path / "profile", settings, "--window-size=768,600", f"--screenshot={shot}", f"{site[0]}/report.html")
    with Image.open(shot) as picture:
        corner = picture.convert("L").getpixel((3, 3))
    assert isinstance(corner, int)
    assert (corner < 60) == dark
