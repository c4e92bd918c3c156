"""Recipes mean what they say: strict YAML, strict types, and errors that name the line, the path and what would be right."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, Interval, MinLen

from tutelage.core.errors import UserError
from tutelage.core.settings import Located, build, closest, documentation, json_schema, override, read_yaml, to_plain, write_yaml

SWEEP = "; a sweep over a list is not supported, give one value"


@dataclass(frozen=True)
class Filter:
    from_: str
    """Where the preferences come from."""
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ptx:
    data: str
    coef: Annotated[float, Gt(0)] = 0.5


@dataclass(frozen=True)
class Ppo:
    kl_coef: Annotated[float, Ge(0)] = 0.03
    """Weight of the KL in the reward,
    in scores per nat; 0 to 1."""
    clip: Annotated[float, Interval(gt=0, lt=1)] = 0.2
    steps: Annotated[int, Ge(1)] = 48
    whiten: bool = True
    shape: Literal["llama", "gpt2"] = "llama"
    ptx: Ptx | None = None
    preferences: str | Filter = "preferences"
    models: Annotated[tuple[str, ...], MinLen(1)] = ("sft",)
    folder: Path | None = None
    rates: dict[str, float] = field(default_factory=dict[str, float])
    betas: tuple[float, float] = (0.9, 0.95)

    def __post_init__(self) -> None:
        if self.ptx and self.steps == 13:
            raise ValueError("13 steps and ptx don't go together")


def of(text: str) -> Ppo:
    file = read_yaml(text, "recipe.yaml")
    return build(Ppo, file.tree, file.name, file.lines)


def wrong(text: str) -> str:
    with pytest.raises(UserError) as error:
        of(text)
    return str(error.value)


def test_a_whole_recipe_is_built() -> None:
    made = of(
        "kl_coef: 1e-5\nclip: .5\nsteps: 3\nwhiten: false\nshape: gpt2\nptx: {data: text}\npreferences: {from: rated, without: [ann-07]}\n"
        "models: [base, 'no']\nfolder: runs/a\nrates: {policy: 1}\nbetas: [0.8, 1]\n"
    )
    rated, rates = Filter("rated", ("ann-07",)), {"policy": 1.0}
    assert made == Ppo(1e-5, 0.5, 3, False, "gpt2", Ptx("text"), rated, ("base", "no"), Path("runs/a"), rates, (0.8, 1.0))
    assert type(made.rates["policy"]) is float
    assert of("ptx: null") == of("ptx:") == of("ptx: ~") == Ppo()


def test_to_plain_round_trips() -> None:
    made = of("preferences: {from: rated}\nptx: {data: text}\nfolder: runs/a\n")
    assert build(Ppo, to_plain(made), "again") == made
    assert to_plain(Filter("rated")) == {"from": "rated", "without": []}
    with pytest.raises(TypeError, match="no plain form"):
        to_plain(object())


@pytest.mark.parametrize(
    "text, value",
    [
        *(("1e-5", 1e-5), ("-1.5E+3", -1500.0), (".5", 0.5), ("1.", 1.0), ("-.inf", -float("inf"))),
        *(("12", 12), ("+3", 3), ("0", 0), ("0x1F", 31), ("0o17", 15), ("true", True), ("False", False), ("NULL", None)),
        *(("1:30", "1:30"), ("2026-11-20", "2026-11-20"), ("1_000", "1_000"), ("'yes'", "yes"), ('"1e-5"', "1e-5")),
        *(("synthetic:text", "synthetic:text"), ("tRue", "tRue"), ("y", "y"), ("ann-07", "ann-07")),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    tree = read_yaml(f"x: {text}").tree
    assert tree == {"x": value} and isinstance(tree, dict) and type(tree["x"]) is type(value)


def test_what_is_written_is_read_back() -> None:
    texts = [
        "1e-5",
        "0o17",
        "010",
        "yes",
        "Off",
        "null",
        "",
        "~",
        "true",
        "1:30",
        "2026-11-20",
        "a: b",
        "- a",
        "# c",
        " x ",
        "\u00fc",
        "two\nlines",
        "=",
        "<<",
    ]
    tree: dict[str, Any] = {"texts": texts, "numbers": [1e-5, 0.1, 1e300, -3, float("inf")], "none": None, "no": {"on": True, "5": []}}
    shared = [1, 2]
    tree |= {"one": shared, "two": shared, "key 1e-5": {"1e-5": "x" * 300 + " " + "y" * 300}}
    assert read_yaml(write_yaml(tree)).tree == tree
    assert list(read_yaml(write_yaml({"b": 1, "a": 2})).tree or []) == ["b", "a"]


@pytest.mark.parametrize("word", ["yes", "No", "ON", "off"])
def test_the_words_of_yaml_1_1_are_errors(word: str) -> None:
    assert wrong(f"steps: 1\nwhiten: {word}\n").startswith(f"recipe.yaml line 2: whiten: the word {word} is ambiguous; write ")
    assert wrong(f"steps: 1\n{word}: 3\n").startswith(f"recipe.yaml line 2: the word {word} is ambiguous")


@pytest.mark.parametrize(
    "text, message",
    [
        ("a:\n  b: 1\n  c: 2\n  b: 3\n", "f line 4: a.b: duplicate key, first given in line 2"),
        ("a: 010\n", "f line 1: a: 010 starts with a zero; write it without, or in quotes for text"),
        ("a: &x 1\nb: *x\n", "f line 1: b: anchors and aliases are not read; write the value out"),
        ("a: &x [*x]\n", "f line 1: a.0: anchors and aliases are not read; write the value out"),
        ("a:\n  <<: {b: 1}\n", "f line 2: a: merge keys (<<) are not read; write the settings out"),
        ("a: !!python/name:os.system \n", "f line 1: a: the tag tag:yaml.org,2002:python/name:os.system is not read; write plain values"),
        ("a:\n  5: x\n", "f line 2: a: the key 5 is not text; write '5'"),
        ("? [a, b]\n: 1\n", "f line 1: a key must be text"),
        ("a: 1\nb: [1, 2\n", "f line 3: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\n\tb: 2\n", "f line 2: not valid YAML: found character '\\t' that cannot start any token"),
        ("a: 1\n---\nb: 2\n", "f line 2: not valid YAML: but found another document"),
    ],
)
def test_what_yaml_would_guess_is_an_error_with_its_line(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        read_yaml(text, "f")
    assert str(error.value) == message


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("a: caf\u00e9".encode("latin-1"))
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfa: 1")
    for name, message in (("none.yaml", "no such file"), ("latin.yaml", "not UTF-8"), ("", "cannot be read: Is a directory")):
        with pytest.raises(UserError, match=message):
            read_yaml(tmp_path / name)
    assert read_yaml(tmp_path / "bom.yaml").tree == {"a": 1}
    assert read_yaml("", "empty").tree is None


@pytest.mark.parametrize(
    "text, message",
    [
        ("steps: 1\nkl_cof: 0.1\n", "line 2: kl_cof: unknown setting; did you mean 'kl_coef'?"),
        ("zebra: 0.1\n", f"line 1: zebra: unknown setting; known are {', '.join(sorted(Ppo.__dataclass_fields__))}"),
        ("kl_coef: '1e-5'\n", "line 1: kl_coef: expected a number, got the text '1e-5'; write 1e-5 without quotes"),
        ("kl_coef: much\n", "line 1: kl_coef: expected a number, got the text 'much'"),
        ("kl_coef: true\n", "line 1: kl_coef: expected a number, got true"),
        ("kl_coef: .nan\n", "line 1: kl_coef: expected a number, got .nan"),
        ("kl_coef: null\n", "line 1: kl_coef: expected a number, got null"),
        ("kl_coef: [0.1, 0.2]\n", "line 1: kl_coef: expected a number, got a list" + SWEEP),
        ("steps: true\n", "line 1: steps: expected a whole number, got true"),
        ("steps: 1e3\n", "line 1: steps: expected a whole number, got 1000.0; write 1000"),
        ("steps: 1.5\n", "line 1: steps: expected a whole number, got 1.5"),
        ("whiten: 1\n", "line 1: whiten: expected true or false, got 1"),
        ("\nkl_coef: -1\n", "line 2: kl_coef: -1.0 is out of range; allowed: >= 0"),
        ("clip: 1\n", "line 1: clip: 1.0 is out of range; allowed: 0 < value < 1"),
        ("ptx:\n  data: text\n  coef: 0\n", "line 3: ptx.coef: 0.0 is out of range; allowed: > 0"),
        ("ptx:\n  coef: 1\n", "line 1: ptx: the setting 'data' is missing (text)"),
        ("ptx: {data: 5}\n", "line 1: ptx.data: expected text, got 5; write it in quotes"),
        ("ptx: text\n", "line 1: ptx: expected settings (data, coef), got the text 'text'"),
        ("shape: lama\n", "line 1: shape: the text 'lama' is not one of llama, gpt2; did you mean 'llama'?"),
        ("preferences: 5\n", "line 1: preferences: expected text or settings (from, without), got 5"),
        ("preferences: {from: x, witout: []}\n", "line 1: preferences.witout: unknown setting; did you mean 'without'?"),
        ("models: []\n", "line 1: models: 0 items are too few; at least 1 are needed"),
        ("models: sft\n", "line 1: models: expected a list of text, got the text 'sft'"),
        ("models:\n  - a\n  - 5\n", "line 3: models.1: expected text, got 5; write it in quotes"),
        ("betas: [0.9]\n", "line 1: betas: expected 2 items, got 1"),
        ("rates:\n  policy: fast\n", "line 2: rates.policy: expected a number, got the text 'fast'"),
        ("steps: 13\nptx: {data: text}\n", "line 1: 13 steps and ptx don't go together"),
        ("- a\n", "line 1: expected settings (kl_coef, clip, steps, whiten, ...), got a list"),
    ],
)
def test_errors_name_line_path_and_what_would_be_right(text: str, message: str) -> None:
    assert wrong(text) == f"recipe.yaml {message}"


def test_a_part_of_a_file_keeps_its_lines_and_path() -> None:
    file = read_yaml("schema: 1\nstages:\n  ppo:\n    kl_cof: 1\n", "recipe.yaml")
    assert isinstance(file.tree, dict)
    stages = file.tree["stages"]
    assert isinstance(stages, dict)
    with pytest.raises(UserError, match=r"^recipe.yaml line 4: stages.ppo.kl_cof: unknown setting; did you mean 'kl_coef'\?$"):
        build(Ppo, stages["ppo"], file.name, file.lines, ("stages", "ppo"))


def overridden(text: str, *overrides: str) -> Located:
    file = read_yaml(text, "recipe.yaml")
    for one in overrides:
        file = file.overridden(one)
    return file


def test_overrides_use_the_path_of_the_file() -> None:
    simple = ("kl_coef=1e-3", "ptx.data=text", "ptx.coef=2", "models=[a, b]", "models.1=c")
    file = overridden("steps: 1\nptx:\n", *simple, "preferences={from: x, without: [ann-07]}")
    made = build(Ppo, file.tree, file.name, file.lines)
    assert made == Ppo(kl_coef=1e-3, steps=1, ptx=Ptx("text", 2.0), models=("a", "c"), preferences=Filter("x", ("ann-07",)))
    assert build(Ppo, overridden("ptx: {data: x}", "ptx=null").tree, "f").ptx is None
    tree = {"a": {"b": 1}}
    assert override(tree, "a.b=2") == {"a": {"b": 2}} and tree == {"a": {"b": 1}}


@pytest.mark.parametrize(
    "text, message",
    [
        ("kl_cof=1", "override 'kl_cof=1': kl_cof: unknown setting; did you mean 'kl_coef'?"),
        ("ptz.data=x", "override 'ptz.data=x': ptz: unknown setting; did you mean 'ptx'?"),
        ("steps=0", "override 'steps=0': steps: 0 is out of range; allowed: >= 1"),
        ("models.0=5", "override 'models.0=5': models.0: expected text, got 5; write it in quotes"),
        ("models.7=a", "override 'models.7=a': '7' is no item of a list of 1; items are numbered from 0"),
        ("steps.x=1", "override 'steps.x=1': 'x' cannot be set inside the value 4"),
        ("steps", "override 'steps': write it as path=value, for example stages.ppo.kl_coef=0.1"),
        (".steps=1", "override '.steps=1': write it as path=value, for example stages.ppo.kl_coef=0.1"),
        ("steps=", "override 'steps=': no value; write steps=null to unset it"),
        ("whiten=no", "override 'whiten=no': the word no is ambiguous; write false, or 'no' in quotes for text"),
        ("models=[a", "override 'models=[a': not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("steps=[1, 2]", "override 'steps=[1, 2]': steps: expected a whole number, got a list" + SWEEP),
    ],
)
def test_wrong_overrides_are_quoted(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        file = overridden("steps: 4\nmodels: [a]\n", text)
        build(Ppo, file.tree, file.name, file.lines)
    assert str(error.value) == message


def test_an_error_beside_an_override_names_its_own_line() -> None:
    file = overridden("steps: 4\nclip: 7\n", "kl_coef=1")
    with pytest.raises(UserError, match=r"^recipe.yaml line 2: clip: "):
        build(Ppo, file.tree, file.name, file.lines)


def test_closest() -> None:
    assert closest("PPO", ["ppo", "dpo"]) == "; did you mean 'ppo'?"
    assert closest("zebra", ["ppo", "dpo"]) == ""


def test_settings_are_documented_under_their_fields() -> None:
    assert documentation(Ppo) == {"kl_coef": "Weight of the KL in the reward,\nin scores per nat; 0 to 1."}
    assert documentation(Filter) == {"from_": "Where the preferences come from."}


def test_json_schema() -> None:
    schema = json_schema(Ppo)
    assert schema["additionalProperties"] is False and "required" not in schema
    assert schema["properties"]["kl_coef"]["minimum"] == 0 and schema["properties"]["kl_coef"]["default"] == 0.03
    assert schema["properties"]["kl_coef"]["description"].startswith("Weight of the KL")
    assert schema["properties"]["clip"]["exclusiveMinimum"] == 0 and schema["properties"]["clip"]["exclusiveMaximum"] == 1
    assert schema["properties"]["ptx"]["anyOf"] == [{"$ref": "#/$defs/Ptx"}, {"type": "null"}]
    assert schema["$defs"]["Ptx"]["required"] == ["data"]
    assert schema["$defs"]["Filter"]["properties"]["from"]["type"] == "string"
    assert schema["properties"]["shape"] == {"enum": ["llama", "gpt2"], "default": "llama"}
    assert schema["properties"]["betas"]["prefixItems"] == [{"type": "number"}] * 2


def test_nested_settings_given_in_part_keep_the_fields_own_default() -> None:
    @dataclass(frozen=True)
    class Inner:
        rate: float = 1.0
        schedule: str = "cosine"

    @dataclass(frozen=True)
    class Outer:
        rates: Inner = Inner(2.0, "linear")
        perhaps: Inner | None = None

    globals().update(Inner=Inner, Outer=Outer)
    assert build(Outer, {"rates": {"rate": 3.0}}, "x") == Outer(Inner(3.0, "linear"))
    assert build(Outer, {"perhaps": {"rate": 3.0}}, "x") == Outer(Inner(2.0, "linear"), Inner(3.0))
    with pytest.raises(UserError, match="did you mean 'rate'"):
        build(Outer, {"rates": {"rat": 3.0}}, "x")
