"""Looks at a policy in training, and the one reward that may see the truth: the skyline's.

A look samples an answer to each of the same prompts with the same random numbers, scores it as training does, and measures how far
the policy is from where it began; the answers are kept so that an eval may grade them later.
"""

from collections.abc import Callable, Sequence
from typing import Any

from tutelage.core.text import Prompt, Response
from tutelage.data.render import Renderer
from tutelage.models.policy import Policy
from tutelage.models.sampling import Sampling
from tutelage.rollouts.monitor import exact_kl
from tutelage.rollouts.reading import read_responses
from tutelage.rollouts.rewards import Scorer, rewarded
from tutelage.rollouts.rollout import Group, Rollout, Speaker
from tutelage.synthetic.gold import Gold, opened


def answers_and_scores(
    policy: Policy,
    speaker: Speaker,
    render: Renderer,
    scorers: Sequence[Scorer],
    prompts: Sequence[Prompt],
    sampling: Sampling,
    cut: float | None,
) -> Callable[[int], dict[str, Any]]:
    """A function of the step that gives a row: prompts, answers, proxy (scaled score) and kl (nats per answer, exact)."""
    ids = [render.prompt(prompt) for prompt in prompts]
    needs = tuple(need for scorer in scorers for need in scorer.needs)

    def look(step: int) -> dict[str, Any]:
        said = speaker.generate(ids, [("probe", prompt.id) for prompt in prompts], sampling)
        groups = [
            Group(prompt, own, (Rollout(prompt.id, 0, s.ids, s.logp, s.finished, str(step)),))
            for prompt, own, s in zip(prompts, ids, said, strict=True)
        ]
        trees = [group.tree() for group in groups]
        read = read_responses(policy, trees, needs)
        scores = [[float(read[need][n][0]) for need in needs] for n in range(len(trees))]
        earned = [group.rollouts[0].score for group in rewarded(groups, scores, scorers, cut)]
        return {
            "prompts": [prompt.id for prompt in prompts],
            "answers": [render.decode(s.ids) for s in said],
            "finished": [s.finished for s in said],
            "proxy": earned,
            "kl": exact_kl(policy, trees),
        }

    return look


def gold(seed: int) -> Callable[[Prompt, Response], float]:
    """The truth as a rule; twice the score, so that its spread is about 1 as that of a reward model's is."""
    truth = Gold(seed)

    def rule(prompt: Prompt, response: Response) -> float:
        with opened("skyline"):
            return 2.0 * truth.scores(prompt, response.text, response.finished).overall

    return rule
