"""Makes `model/` (a copy that continues text instead of chatting) and `prompts.jsonl` for stories.yaml.

    python prepare.py PATH_OF_A_STORY_MODEL

A story model has no chat marks, so its copy gets the template of a plain continuation: the prompt as it is, then the response.
"""

import itertools
import json
import random
import shutil
import sys
from pathlib import Path

CONTINUE = (
    "{{- bos_token -}}{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}{%- generation -%}{{- message['content'] + eos_token -}}{%- endgeneration -%}"
    "{%- else -%}{{- message['content'] -}}{%- endif -%}{%- endfor -%}"
)
PEOPLE = ["Lily", "Tom", "Mia", "Ben", "Sue", "Max", "Anna", "Sam"]
THINGS = ["cat", "dog", "ball", "bird", "cake", "tree", "car", "fish", "hat", "box", "frog", "bear", "doll", "boat"]


def main(source: Path) -> None:
    here = Path(__file__).parent
    shutil.copytree(source, here / "model", dirs_exist_ok=True)
    (here / "model" / "chat_template.jinja").write_text(CONTINUE)
    pairs = list(itertools.product(PEOPLE, itertools.combinations(THINGS, 2)))
    random.Random(0).shuffle(pairs)
    rows = [f"This is a story about a {a} and a {b}. Once upon a time, there was a child named {name}." for name, (a, b) in pairs]
    (here / "prompts.jsonl").write_text("".join(json.dumps({"prompt": row}) + "\n" for row in rows[:700]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
