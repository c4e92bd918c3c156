"""The documentation as a site: built strictly, a broken link or anchor fails, read without a network on a laptop and a phone."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.feedback.site.browsers import chromium, open_

ROOT = Path(__file__).parents[2]


def build(docs: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """As `make docs` does it."""
    (line,) = re.findall(r"-m sphinx (.*) docs build/docs", (ROOT / "Makefile").read_text())
    options = [word.replace("build/doctrees", str(out / "trees")) for word in line.split()]
    command = [sys.executable, "-m", "sphinx", *options, str(docs), str(out / "site")]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT / "docs", out)
    assert done.returncode == 0, done.stderr
    return out / "site"


def pages(site: Path) -> list[Path]:
    return sorted(path for path in site.glob("*.html") if path.stem not in ("genindex", "search"))


def test_every_page_is_there_and_in_the_navigation(site: Path) -> None:
    names = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert names <= {path.stem for path in pages(site)}
    front = (site / "index.html").read_text()
    assert all(f'href="{name}.html"' in front for name in names - {"index"})
    assert "Add an objective in one file" in (site / "contributing.html").read_text()


def test_a_link_to_a_file_leads_to_a_copy_of_it(site: Path) -> None:
    (link,) = re.findall(r'href="(_downloads/[^"]*/budget\.py)"', (site / "methods.html").read_text())
    assert (site / link).read_text() == (ROOT / "src" / "tutelage" / "recipes" / "budget.py").read_text()


@pytest.mark.parametrize("link", ["nowhere.md", "methods.md#no-such-heading", "../src/tutelage/nowhere.py", "#no-such-heading-here"])
def test_a_broken_link_fails(link: str, tmp_path: Path) -> None:
    docs = tmp_path / "repository" / "docs"
    docs.mkdir(parents=True)
    for name in ("conf.py", "methods.md"):
        shutil.copy(ROOT / "docs" / name, docs)
    shutil.copytree(ROOT / "docs" / "_static", docs / "_static")
    shutil.copy(ROOT / "pyproject.toml", docs.parent)
    (docs / "methods.md").write_text("# Methods\n")
    (docs / "index.md").write_text(f"# Front\n\n[there]({link})\n\n```{{toctree}}\nmethods\n```\n")
    done = build(docs, tmp_path)
    assert done.returncode and "myst.xref_missing" in done.stderr, done.stderr
    (docs / "index.md").write_text("# Front\n\n[there](methods.md#methods)\n\n```{toctree}\nmethods\n```\n")
    assert build(docs, tmp_path).returncode == 0


def test_pages_fetch_nothing_and_fit_on_a_laptop_and_a_phone(site: Path) -> None:
    with chromium() as browser:
        for phone in (False, True):
            assert looked_at(browser, pages(site), phone) == []


def looked_at(browser: Browser, paths: list[Path], phone: bool) -> list[str]:
    """What is wrong with pages in a browser that has no network: requests elsewhere, failed scripts, a page wider than the screen."""
    context, faults = open_(browser, phone=phone), []
    context.set_offline(True)
    for path in paths:
        page = context.new_page()
        page.on("pageerror", lambda error, name=path.name: faults.append(f"{name}: {error}"))
        page.on("request", lambda r, name=path.name: r.url.startswith(("file:", "data:")) or faults.append(f"{name}: asks {r.url}"))
        page.goto(path.as_uri())
        beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if beyond > 0:
            faults.append(f"{path.name}: {beyond} pixels too wide")
        page.close()
    context.close()
    return faults


def test_a_page_that_fetches_or_is_too_wide_is_seen(tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text('<script src="https://cdn.example.org/x.js"></script><div style="width: 5000px">wide</div>')
    with chromium() as browser:
        faults = looked_at(browser, [tmp_path / "bad.html"], phone=True)
    assert any("cdn.example.org" in fault for fault in faults) and any("too wide" in fault for fault in faults)


def test_the_search_finds_a_setting(site: Path) -> None:
    """Its index is a script in the folder, so it works from a disk."""
    with chromium() as browser:
        page = open_(browser).new_page()
        page.goto(f"{(site / 'search.html').as_uri()}?q=kl_coef")
        page.get_by_role("link", name="Recipe reference").first.wait_for(timeout=20_000)
