"""Reinforcement learning from human feedback by PPO, from top to bottom: speak, be scored, do more of what went well.

Read it from here to the end, or copy it: it imports torch and nothing else. It is not fast: every response is read alone. What
it says is what `tutelage.rollouts` and `tutelage.objectives.ppo` compute; a test holds the two equal in float64.

Four models, each any function of token ids [L] in which a token sees only what stands before it:

    policy     logits [L, V]   learns to speak
    reference  logits [L, V]   what the policy was before; it keeps the policy from leaving human language
    reward     scores [L]      a trained reward model (reference/reward.py); frozen
    value      scores [L]      learns to foresee, at each place, what will still be earned; begins as a copy of the reward model

Try it:  python reference/ppo.py
"""

import copy

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

# ------------------------------------------------------------------------------------------------------------------ 1. speak


@torch.no_grad()
def sample(policy, prompt, end, limit):
    """(response, finished): words drawn from the policy itself, at temperature 1, until it says `end` or `limit` is reached."""
    response = []
    while len(response) < limit:
        logits = policy(torch.tensor(prompt + response))[-1]
        response.append(torch.multinomial(logits.softmax(-1), 1).item())
        if response[-1] == end:
            return response, True
    return response, False


# -------------------------------------------------------------------------------------------------------- 2. read and be scored


def log_probabilities(model, prompt, response):
    """[L] of each token of the response. The logits at place t are about token t + 1."""
    logits = model(torch.tensor(prompt + response))[len(prompt) - 1 : -1]
    return logits.log_softmax(-1)[range(len(response)), response]


def values(model, prompt, response):
    """[L] what the value model foresees before each token of the response is said: it has seen everything before that token."""
    return model(torch.tensor(prompt + response))[len(prompt) - 1 : -1]


def rewards(logp, reference_logp, score, kl_coef):
    """[L] InstructGPT, arXiv 2203.02155, eq. 2: each token pays for being likelier than under the reference, and the last one
    earns the score of the whole."""
    earned = -kl_coef * (logp - reference_logp)
    earned[-1] += score
    return earned


# ------------------------------------------------------------------------------------------------- 3. which token did better?


def advantages(earned, value, discount=1.0, trace=0.95):
    """[L] generalised advantage estimation, arXiv 1506.02438, eq. 16.

    One step's surprise is what was earned plus what is now foreseen minus what was foreseen before. An advantage is the sum of
    the surprises from there on, later ones counting less and less. After the last token nothing more is foreseen.
    """
    after = torch.cat([value[1:], torch.zeros(1, dtype=value.dtype)])
    surprise = earned + discount * after - value
    total = torch.zeros_like(surprise)
    running = torch.zeros((), dtype=surprise.dtype)
    for t in reversed(range(len(surprise))):
        running = surprise[t] + discount * trace * running
        total[t] = running
    return total


@torch.no_grad()
def experience(spoken, policy, reference, reward, value, kl_coef=0.05, discount=1.0, trace=0.95, cut=-1.0):
    """What is learnt from, for each (prompt, response, finished): constants, made before the policy changes.

    A response that was cut off at the limit earns `cut`, whatever the reward model thinks of it: otherwise the policy learns to
    go on until it is cut. All advantages together get mean 0 and deviation 1. The rewards are left as they are, so that
    `kl_coef` keeps its meaning.
    """
    batch = []
    for prompt, response, finished in spoken:
        score = reward(torch.tensor(prompt + response))[-1] if finished else cut
        logp, foreseen = log_probabilities(policy, prompt, response), values(value, prompt, response)
        earned = rewards(logp, log_probabilities(reference, prompt, response), score, kl_coef)
        advantage = advantages(earned, foreseen, discount, trace)
        batch.append({"prompt": prompt, "response": response, "logp": logp, "value": foreseen, "advantage": advantage})
        batch[-1]["return"] = advantage + foreseen  # what should have been foreseen
    every = torch.cat([row["advantage"] for row in batch])
    for row in batch:
        row["advantage"] = (row["advantage"] - every.mean()) / (every.std(correction=0) + 1e-8)
    return batch


# ------------------------------------------------------------------------------------------------- 4. do more of what went well


def loss(batch, policy, value, clip=0.2, value_clip=0.2):
    """(policy loss, value loss), each the mean over all tokens of the batch.

    arXiv 1707.06347, eq. 7: a token whose advantage is positive is made likelier, but once it is `clip` likelier than it was when
    it was said, it gives no more gradient; and the other way round. The value is held near its old self in the same way.
    """
    policy_losses, value_losses = [], []
    for row in batch:
        ratio = (log_probabilities(policy, row["prompt"], row["response"]) - row["logp"]).exp()
        limited = ratio.clamp(1 - clip, 1 + clip)
        policy_losses.append(-torch.minimum(ratio * row["advantage"], limited * row["advantage"]))
        foreseen = values(value, row["prompt"], row["response"])
        near = row["value"] + (foreseen - row["value"]).clamp(-value_clip, value_clip)
        value_losses.append(torch.maximum((foreseen - row["return"]) ** 2, (near - row["return"]) ** 2) / 2)
    return torch.cat(policy_losses).mean(), torch.cat(value_losses).mean()


# ------------------------------------------------------------------------------------------------------------- a small model


class Tiny(nn.Module):
    """One layer of attention over 16 words; `outputs` is 16 for a speaker and 1 for a scorer."""

    def __init__(self, outputs, words=16, width=32):
        super().__init__()
        self.word, self.place = nn.Embedding(words, width), nn.Embedding(32, width)
        self.mix, self.think = nn.Linear(width, 3 * width), nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.head = nn.Linear(width, outputs, bias=False)

    def forward(self, ids):
        x = self.word(ids) + self.place(torch.arange(len(ids)))
        q, k, v = self.mix(x).chunk(3, -1)
        x = x + scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
        out = self.head(x + self.think(x))
        return out[:, 0] if out.shape[-1] == 1 else out


# ------------------------------------------------------------------------------------------------------------- 5. all together


def main(rounds=12):
    """Here nobody has to be asked: the reward is the number of 7s, less a bit for every other word."""
    torch.manual_seed(0)
    policy, value = Tiny(16), Tiny(1)
    reference = copy.deepcopy(policy)

    def reward(ids):
        return torch.where(ids == 7, 0.5, -0.05).cumsum(0)

    optimizer = torch.optim.Adam([*policy.parameters(), *value.parameters()], lr=3e-3)
    for n in range(rounds):
        prompts = [torch.randint(1, 16, (2,)).tolist() for _ in range(32)]
        spoken = [(prompt, *sample(policy, prompt, end=0, limit=12)) for prompt in prompts]
        batch = experience(spoken, policy, reference, reward, value)
        sevens = sum(response.count(7) for _, response, _ in spoken) / sum(len(response) for _, response, _ in spoken)
        print(f"round {n:2}: {sevens:.2f} of the words are a 7")
        for _ in range(4):
            policy_loss, value_loss = loss(batch, policy, value)
            (policy_loss + value_loss).backward()
            optimizer.step()
            optimizer.zero_grad()


if __name__ == "__main__":
    main()
