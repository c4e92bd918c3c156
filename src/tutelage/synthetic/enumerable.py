"""One task small enough to know everything about: "name one animal", 32 answers, an exact optimum to hold PPO against.

Maximising E_pi[r] - beta KL(pi | pi_ref) has the closed form pi*(y) = pi_ref(y) exp(r(y) / beta) / Z with value beta log Z (Korbak et
al. 2022; Rafailov et al. 2023, eq. 4). Whatever is not one of the 32 words has one reward, so all of it together is one more
outcome and the form stays exact. Shapes: A = 33 outcomes, the 32 answers in order and everything else.
"""

from dataclasses import dataclass

import numpy as np

from tutelage.core.randomness import stream
from tutelage.core.text import Demonstration, Prompt, Response, ask
from tutelage.synthetic.lexicon import ANIMALS

PROMPT: Prompt = ask("name one animal .", family="enumerable", kind="enumerable")
ANSWERS = ANIMALS
ELSE = len(ANSWERS)
"""The place of everything else among the outcomes."""
REWARD_OF_ELSE = -1.0


@dataclass(frozen=True)
class Optimum:
    """The best policy for one beta. `probabilities` [A] sum to 1; `kl` and `entropy` in nats, over outcomes; `value` = reward - beta kl."""

    probabilities: np.ndarray
    value: float
    reward: float
    kl: float
    entropy: float


def rewards(seed: int = 0) -> np.ndarray:
    """[A] the reward of each outcome: standard normal, clipped to [-2, 2], everything else -1. The seed decides the tastes."""
    drawn = stream("enumerable", seed).standard_normal(len(ANSWERS)).clip(-2, 2)
    return np.append(drawn, REWARD_OF_ELSE)


def outcome(text: str, finished: bool = True) -> int:
    """Which outcome a text is: a place in ANSWERS, or ELSE. Never raises."""
    word = text.strip()
    return ANSWERS.index(word) if finished and word in ANSWERS else ELSE


def reward(text: str, finished: bool = True, seed: int = 0) -> float:
    return float(rewards(seed)[outcome(text, finished)])


def demonstration(random: np.random.Generator) -> Demonstration:
    """Any of the 32, none more likely than the others."""
    return Demonstration(PROMPT, Response(ANSWERS[int(random.integers(len(ANSWERS)))], by="synthetic:demonstrations"))


def outcomes(answers: np.ndarray) -> np.ndarray:
    """[A] from the probabilities [32] of the answers: what is left is everything else."""
    answers = np.asarray(answers, np.float64)
    return np.append(answers, max(0.0, 1.0 - float(answers.sum())))


def optimum(reference: np.ndarray, reward: np.ndarray, beta: float) -> Optimum:
    """The exact optimum from `reference` [A] probabilities and `reward` [A] at KL weight `beta` > 0 (reward units per nat)."""
    reference, reward = np.asarray(reference, np.float64), np.asarray(reward, np.float64)
    with np.errstate(divide="ignore"):
        logits = np.log(reference) + reward / beta
    top = logits.max()
    log_z = top + np.log(np.exp(logits - top).sum())
    best = np.exp(logits - log_z)
    return Optimum(best, float(beta * log_z), float(best @ reward), divergence(best, reference), entropy(best))


def objective(policy: np.ndarray, reference: np.ndarray, reward: np.ndarray, beta: float) -> float:
    """E[r] - beta KL(policy | reference) of any policy [A]."""
    return float(np.asarray(policy, np.float64) @ np.asarray(reward, np.float64) - beta * divergence(policy, reference))


def divergence(policy: np.ndarray, reference: np.ndarray) -> float:
    """KL(policy | reference) in nats; infinite where the policy goes and the reference does not."""
    policy, reference = np.asarray(policy, np.float64), np.asarray(reference, np.float64)
    at = policy > 0
    with np.errstate(divide="ignore"):
        return float((policy[at] * (np.log(policy[at]) - np.log(reference[at]))).sum())


def entropy(policy: np.ndarray) -> float:
    """In nats."""
    policy = np.asarray(policy, np.float64)
    at = policy > 0
    return float(-(policy[at] * np.log(policy[at])).sum())
