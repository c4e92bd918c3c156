"""Text that nobody vouches for, as HTML that runs nothing and hides nothing.

Prompts, responses and guidelines are Markdown. markdown-it-py (CommonMark, HTML off) makes HTML of it, and nh3 takes out whatever
is not on a short list: two walls that fail in different ways. Pictures are left as links, since fetching one tells a stranger who
reads here. Characters that a reader can't see but a model wrote (control characters, marks of direction, zero-width ones, tags) are
spelt out as ⟨U+202E⟩, so what two people judge is what both of them see. Joiners stay: emoji and many scripts need them.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

SHOWN = 6_000
"""Characters of a text longer than LONG that a page shows before the reader asks for all of it."""
LONG = 20_000
"""Characters that are laid out as Markdown; Markdown of a megabyte takes seconds."""

TAGS = {"p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a", "h3"}
TABLE = {"table", "thead", "tbody", "tr", "th", "td"}
ATTRIBUTES: dict[str, set[str]] = {"*": set(), "a": {"href"}, "h3": {"class"}, "ol": {"start"}}
_JOINERS = "\u200c\u200d"
_MARKDOWN = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"]).disable("image")
_HEADING = re.compile(r"<(/?)h([1-6])>")


@dataclass(frozen=True)
class Shown:
    """A text as a page shows it."""

    html: Markup
    whole: bool = True
    """False: only its beginning is here."""
    length: int = 0
    """Characters of the whole text."""


def visible(text: str) -> str:
    """The text with every character that has no look of its own spelt out: ⟨U+202E⟩. Line ends and tabs stay."""
    plain = text.replace("\r\n", "\n")
    return plain if plain.isascii() and plain.isprintable() else "".join(map(_spelt, plain))


def shown(text: str) -> Shown:
    """Markdown as safe HTML; of a very long text only the beginning, as plain text."""
    if len(text) > LONG:
        return Shown(Markup(f"<pre>{_escape(visible(text[:SHOWN]))}</pre>"), whole=False, length=len(text))
    return Shown(_laid_out(text), length=len(text))


def plain(text: str) -> Markup:
    """The text as it is, in a <pre>."""
    return Markup(f"<pre>{_escape(visible(text))}</pre>")


def storable(text: str) -> str:
    """What somebody sent, as every database takes it: NUL and halves of surrogate pairs become the replacement character."""
    return "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text)


@lru_cache(maxsize=4096)
def _laid_out(text: str) -> Markup:
    html = _HEADING.sub(_lower, _MARKDOWN.render(visible(text)))
    return Markup(nh3.clean(html, tags=TAGS | TABLE, attributes=ATTRIBUTES, url_schemes={"http", "https", "mailto"}))


def _lower(heading: re.Match[str]) -> str:
    """Headings of a text stand below the page's own, however deep the text begins; their size is a matter of looks."""
    return "</h3>" if heading[1] else f'<h3 class="level-{heading[2]}">'


def _spelt(c: str) -> str:
    if c in "\n\t" or c in _JOINERS:
        return c
    hidden = unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    return f"⟨U+{ord(c):04X}⟩" if hidden else c


def _escape(text: str) -> str:
    return str(Markup.escape(text))
