"""A reward by rule for stories: the things that the opening promises occur, and the story ends well.

Used by `examples/stories/stories.yaml` as `story_rewards:promised_and_happy`.
"""

import re

from tutelage.core.text import Prompt, Response

HAPPY = ("happy", "happily", "smiled", "laughed", "hugged", "friends", "loved", "fun", "proud", "glad")
SAD = ("sad", "cried", "died", "angry", "hurt", "scared")


def promised_and_happy(prompt: Prompt, response: Response) -> float:
    """Between -1 and 3: 2 x the share of promised things that the continuation names, and +1 for a happy, -1 for a sad last sentence."""
    words = re.findall(r"[a-z]+", response.text.lower())
    promised = things(prompt.last)
    named = sum(thing in words for thing in promised) / len(promised)
    return 2 * named + ending(response.text)


def things(opening: str) -> list[str]:
    """What stands between "about" and the period: "This is a story about a cat and a ball." promises cat and ball."""
    found = re.search(r"about (.+?)\.", opening)
    return [word for word in re.findall(r"[a-z]+", found.group(1).lower()) if word not in ("a", "an", "the", "and")] if found else [""]


def ending(text: str) -> float:
    """+1, -1 or 0 by the words of the last whole sentence."""
    sentences = [s for s in re.split(r"(?<=[.!?])\s+", text.strip()) if s.endswith((".", "!", "?"))]
    last = re.findall(r"[a-z]+", sentences[-1].lower()) if sentences else []
    return float(any(word in HAPPY for word in last)) - float(any(word in SAD for word in last))
