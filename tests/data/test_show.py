"""`data show`: what is trained is in color, and the figures add up."""

from io import StringIO

from rich.console import Console

from tests.data import spell
from tutelage.core.text import Demonstration, Message, Prompt, Response, ask
from tutelage.data import show
from tutelage.data.render import Renderer
from tutelage.data.tree import Tree

TOKENIZER = spell.byte_level(spell.chat(), more=("<|user|>", "<|assistant|>"))
RENDERER = Renderer(TOKENIZER)


def printed(renderable):
    console = Console(width=100, record=True, file=StringIO())
    console.print(renderable)
    return console.export_text()


def styled(text, style):
    return [text.plain[span.start : span.end] for span in text.spans if span.style == style]


def test_trained_tokens_are_in_color_and_others_are_not():
    prompt = Prompt((Message("user", ("hello",)), Message("assistant", ("who",)), Message("user", ("Anna",))))
    (tree,) = RENDERER.demonstration(Demonstration(prompt, Response("two cats")), train_history=True)
    text = show.tokens(tree, RENDERER, 0)
    assert text.plain == "<|user|>hello<|assistant|>who<end><|user|>Anna<|assistant|>two cats<end>"
    assert styled(text, show.TRAINED) == ["who<end>", "two cats<end>"]
    assert styled(text, show.READ) == ["<|user|>hello<|assistant|>", "<|user|>Anna<|assistant|>"]


def test_letters_of_several_bytes_stay_whole():
    text = show.tokens(RENDERER.tree(ask("größe 🙂"), [Response("süß 🙂")]), RENDERER, 0)
    assert text.plain == "<|user|>größe 🙂<|assistant|>süß 🙂<end>"


def test_rows_show_every_response_of_the_first_n():
    trees = [RENDERER.tree(ask(f"hello {n}"), [Response("Anna"), Response("a dog [bold]", finished=False)]) for n in range(5)]
    said = printed(show.rows(trees, RENDERER, 2))
    assert said.count("Anna") == 2 and said.count("a dog [bold]") == 2 and "hello 2" not in said
    assert "row 2, response 2 of 2" in said and said.count(", cut") == 2


def test_figures_add_up():
    trees = [RENDERER.tree(ask("hello"), [Response("Anna"), Response("no")]), RENDERER.tree(ask("hello"), [Response("a dog " * 30)])]
    figures = show.statistics(trees, context=40)
    assert (figures.rows, figures.over, figures.context) == (2, 1, 40)
    assert figures.tokens == sum(tree.length for tree in trees)
    assert figures.trained == sum(len(r) for tree in trees for r in tree.responses)
    assert figures.longest == trees[1].length
    said = printed(show.table(figures))
    assert f"{figures.tokens:,}" in said and f"{figures.share:.1%}" in said and "longer than the context of 40" in said
    assert "context" not in printed(show.table(show.statistics([])))


def test_a_prompt_without_responses_is_shown_by_itself():
    said = printed(show.rows([Tree(RENDERER.prompt(ask("hello")), ())], RENDERER))
    assert "row 1: " in said and "hello" in said and "response" not in said
