"""The documentation as a site: `make docs` writes it to build/docs. Every link and anchor is checked; one that leads nowhere fails.

Sphinx with MyST reads the pages as they are, so they read as well where the repository is browsed. Links to source files become copies
beside the pages. Nothing is fetched from elsewhere when a page is read: the theme's fonts are the reader's own, scripts and the search
index lie in the folder, which may be opened from a disk.
"""

import tomllib
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
ABOVE = {"contributing": "CONTRIBUTING.md", "changes": "CHANGELOG.md"}
"""Pages that lie where people look for them in a repository, above this folder."""
about = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
project, release = "Tutelage", about["version"]
author = copyright = "the Tutelage authors; Apache-2.0"
extensions = ["myst_parser", "sphinx_copybutton", "sphinx_design"]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure", "myst.header"]
"""JSON Lines are several documents; pages written by programs begin where they are put."""

html_theme = "furo"
html_title = "Tutelage"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = html_logo = "_static/mark.svg"
html_copy_source = html_show_sourcelink = html_show_sphinx = False
html_theme_options = {
    "sidebar_hide_name": False,
    "light_css_variables": {"color-brand-primary": "#0b6e5f", "color-brand-content": "#0b6e5f", "color-api-background": "#f5f7f6"},
    "dark_css_variables": {"color-brand-primary": "#5fd0b8", "color-brand-content": "#5fd0b8"},
}
pygments_style, pygments_dark_style = "tango", "github-dark"
copybutton_only_copy_prompt_lines = False


def bring(app: Sphinx, page: str, source: list[str]) -> None:
    """The text of a page that lies above, its links as seen from here."""
    if page in ABOVE:
        text = (ROOT / ABOVE[page]).read_text().replace("](docs/", "](")
        source[0] = text.replace("](src/", "](../src/").replace("](tests/", "](../tests/")


def setup(app: Sphinx) -> None:
    app.connect("source-read", bring)
