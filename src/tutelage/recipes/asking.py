"""A judge by URL in a stage: what is checked, said before anything leaves the machine, what it may cost, and what is told afterwards."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from tutelage.core.errors import UserError
from tutelage.core.statistics import Estimate, within
from tutelage.core.text import Prompt, Response
from tutelage.feedback import judge as judges
from tutelage.feedback.agreement import bias
from tutelage.feedback.agreement.votes import Vote, spoken
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.judge import QUESTION_TOKENS, TASKS, VERDICT_TOKENS, Answers, Judge
from tutelage.feedback.store import Store
from tutelage.recipes.stage import Context
from tutelage.recipes.work import Work

KEPT = "judge.jsonl"
"""In the run directory: answers, shared by all of its stages."""
MOST_UNREAD = 0.5
"""Share of answers without a verdict above which a judge is none."""


class Asks(Protocol):
    """As much of a stage as is checked here."""

    @property
    def by(self) -> str: ...
    @property
    def judge(self) -> Judge | None: ...
    @property
    def overlap(self) -> int: ...


def check(stage: Asks, task: str, context: Context) -> bool:
    """Whether a judge is asked, for a task; a fault in what is said of it is the context's."""
    if stage.by != "judge":
        if stage.judge:
            raise context.fault("judge", "is asked only where the stage says by: judge")
        return False
    if not stage.judge:
        raise context.fault("by", "a judge has an address: add judge: {url: http://127.0.0.1:8000/v1, model: NAME}")
    if task not in TASKS:
        raise context.fault("task", f"a judge is asked for a {' or a '.join(TASKS)}, not for {task}")
    if stage.overlap != 1:
        raise context.fault("overlap", "a judge is asked once for each order of the responses; leave it out")
    try:
        stage.judge.secret()
    except UserError as missing:
        raise context.fault("judge.key", str(missing)) from None
    return True


def bill(name: str, judge: Judge, items: int, tokens: int) -> str:
    """What asking about so many items may cost, each a prompt with its responses of so many tokens."""
    calls = 2 * items
    read, written = calls * (QUESTION_TOKENS + tokens), calls * VERDICT_TOKENS
    price = f", about {judge.price.of(read, written):,.2f} by its price" if judge.price else ""
    return f"{name}: {calls:,} questions to {judge.host}, about {read:,} tokens to read and {written:,} to write{price}"


def begun(work: Work, judge: Judge, what: str) -> Answers:
    """Before anything leaves the machine, say to whom, and what ("100 prompts with their responses"); what was answered before."""
    work.progress.note(f"{work.name}: {judge.host} ({judge.model}) is sent {what}, as text, twice each, and nothing else")
    return Answers(work.run / KEPT)


def judged(
    work: Work,
    judge: Judge,
    task: str,
    said: Sequence[tuple[Prompt, tuple[Response, ...]]],
    before: Answers,
    heard: Callable[[], None] = lambda: None,
) -> tuple[tuple[Annotation, ...], dict[str, Any]]:
    """The judge's annotations of one chunk, and what is counted of it; `heard` is called at each new answer."""
    found = judges.judged(judge, task, said, work.seed, before, heard)
    counts = {"answers": 2 * len(said), "unread": len(found.unread), "read": found.read_tokens, "written": found.written_tokens}
    return found.annotations, {**counts, "sample": found.unread[0][:200] if found.unread else ""}


def told(work: Work, judge: Judge, store: Store, chunks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """For the manifest and for people, when all is judged: how far place swayed the judge, and what could not be read. UserError for a
    judge that is not understood in more than half of what it says, or nowhere in both orders."""
    sums = {name: sum(chunk[name] for chunk in chunks) for name in ("answers", "unread", "read", "written")}
    sample = next((chunk["sample"] for chunk in chunks if chunk["sample"]), "")
    unread = f"{sums['unread']:,} of {sums['answers']:,} answers of {judge.model} hold no verdict, such as {sample!r}"
    if sums["unread"] > MOST_UNREAD * sums["answers"] or (sums["unread"] and not store.count):
        raise UserError(f"stage {work.name}: {unread}; give it more judge.max_tokens, or another model")
    votes = spoken(store.read())
    work.progress.note(f"{work.name}: {swayed(judge, votes)}")
    if sums["unread"]:
        work.progress.note(f"{work.name}: {unread}: what they were asked about is left out")
    work.journal({"judge": judge.host, "model": judge.model, **sums, "store": store.hash})
    paid = {"price": judge.price.of(sums["read"], sums["written"])} if judge.price else {}
    shares = {"first_wins": bias.position(votes), "same_twice": bias.consistency(votes), "longer_wins": longer(votes)}
    plain = {name: _plain(share) for name, share in shares.items()}
    return {"judge": {"host": judge.host, "model": judge.model, **sums, **paid, **plain}}


def longer(votes: Sequence[Vote]) -> Estimate | None:
    """How often the longer one wins; where verdicts cancel in every prompt, their interval is Wilson's."""
    share = bias.length(votes)
    return None if share is None else within(share, 0.0, 1.0)


def swayed(judge: Judge, votes: Sequence[Vote]) -> str:
    """How far place sways it, in words."""
    first, same = bias.position(votes), bias.consistency(votes)
    if first is None or same is None:
        return f"{judge.model} preferred nothing to anything"
    swayed = "; place sways it" if first.low > 0.5 or first.high < 0.5 else ""
    return (
        f"{judge.model} preferred what stood first in {first.mean:.0%} of its verdicts (95 % interval {first.low:.0%} to {first.high:.0%}, "
        f"50 % where place counts for nothing{swayed}), and said the same in both orders in {same.mean:.0%}"
    )


def _plain(x: Estimate | None) -> dict[str, float] | None:
    return None if x is None else {"mean": x.mean, "low": x.low, "high": x.high}
