"""What is measured must fit the model's context; what doesn't is left out, and said."""

from pathlib import Path

from tests.recipes.heard import Heard
from tutelage.core.text import Response, ask
from tutelage.evals.eval import Material, Pair
from tutelage.models import create, tokenizer, weights
from tutelage.models.sampling import Sampling
from tutelage.recipes.decisions import decide
from tutelage.recipes.sources import Model
from tutelage.recipes.subjects import Subjects
from tutelage.recipes.work import Work
from tutelage.synthetic.lexicon import vocabulary


def test_prompts_that_leave_no_room_for_an_answer_are_left_out(tmp_path: Path) -> None:
    words = tokenizer.words(vocabulary(), 1024)
    weights.save(create.new("nano", words, 0), words, tmp_path / "model")
    word = vocabulary()[0]
    short, long = ask(word), ask(" ".join([word] * 230))  # context 256, answers of up to 64
    pairs = tuple(Pair(prompt, Response(word), Response(f"{word} {word}")) for prompt in (short, long))
    heard = Heard()
    work = Work("evaluate", tmp_path, 0, Model("nano"), decide(), heard, lambda event: None, tmp_path)
    subjects = Subjects(work, Material(prompts=(short, long), pairs=pairs), Sampling(max_tokens=64), lambda tokens: None)
    subjects.leave_out_too_long(subjects.folder("model", tmp_path / "model"))
    assert subjects.on.prompts == (short,)
    assert subjects.on.pairs == pairs  # a pair needs no room beyond its prompt
    assert heard.notes == ["evaluate: 1 of 2 rows left out, their prompts are longer than the context"]
    assert subjects.folder("model", tmp_path / "model").material.prompts == (short,)
