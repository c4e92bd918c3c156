"""What the model will see: rows as they are rendered, the tokens that are trained in color, and the figures of a whole file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tutelage.data.render import Renderer
from tutelage.data.tree import POLICY, Tree

TRAINED, READ = "bold green", "dim"


@dataclass(frozen=True)
class Statistics:
    """Figures of many trees. A prompt counts once, however many responses hang from it."""

    rows: int
    tokens: int
    trained: int
    """Tokens that the policy is taught."""
    longest: int
    """Tokens of the longest prompt with one response."""
    over: int
    """Rows of which a prompt with a response is longer than the context."""
    context: int | None

    @property
    def share(self) -> float:
        """Trained tokens / tokens."""
        return self.trained / self.tokens if self.tokens else 0.0


def statistics(trees: Iterable[Tree], context: int | None = None) -> Statistics:
    """Over trees that were rendered without a limit."""
    rows = tokens = trained = longest = over = 0
    for tree in trees:
        length = len(tree.prompt) + max(map(len, tree.responses), default=0)
        rows, tokens, trained = rows + 1, tokens + tree.length, trained + _trained(tree)
        longest, over = max(longest, length), over + (context is not None and length > context)
    return Statistics(rows, tokens, trained, longest, over, context)


def tokens(tree: Tree, renderer: Renderer, response: int | None) -> Text:
    """The prompt and one response (None: the prompt alone) as text, special tokens written out; trained tokens in TRAINED, others in
    READ."""
    text = Text()
    pieces = list(zip(tree.prompt, tree.prompt_writers))
    if response is not None:
        pieces += zip(tree.responses[response], tree.writers[response])
    for trained, run in groupby(pieces, key=lambda piece: piece[1] == POLICY):
        text.append(renderer.spell([token for token, _ in run]), TRAINED if trained else READ)
    return text


def rows(trees: Sequence[Tree], renderer: Renderer, n: int = 3) -> Group:
    """The first n trees, each response of a tree after the whole prompt; a prompt without responses by itself."""
    panels = [
        Panel(tokens(tree, renderer, k), title=_title(tree, row, k), title_align="left")
        for row, tree in enumerate(trees[:n], start=1)
        for k in (range(len(tree.responses)) or (None,))
    ]
    return Group(Text.assemble(("trained", TRAINED), " ", ("only read", READ)), *panels)


def table(figures: Statistics) -> Table:
    """The figures as a table of names and numbers."""
    grid = Table(show_header=False, box=None)
    grid.add_column(justify="left")
    grid.add_column(justify="right")
    grid.add_row("rows", f"{figures.rows:,}")
    grid.add_row("tokens", f"{figures.tokens:,}")
    grid.add_row("trained", f"{figures.trained:,} ({figures.share:.1%})")
    grid.add_row("longest", f"{figures.longest:,}")
    if figures.context is not None:
        grid.add_row(f"longer than the context of {figures.context:,}", f"{figures.over:,}")
    return grid


def _title(tree: Tree, row: int, k: int | None) -> str:
    if k is None:
        return f"row {row}: {len(tree.prompt)} tokens"
    several = f", response {k + 1} of {len(tree.responses)}" if len(tree.responses) > 1 else ""
    cut = "" if tree.finished[k] else ", cut"
    return f"row {row}{several}: {len(tree.prompt)} + {len(tree.responses[k])} tokens{cut}"


def _trained(tree: Tree) -> int:
    return sum(writers.count(POLICY) for writers in (tree.prompt_writers, *tree.writers))
