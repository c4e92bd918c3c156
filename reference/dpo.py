"""Direct preference optimisation, from top to bottom: learn from preferences without a reward model and without sampling.

Read it from here to the end, or copy it: it imports torch and nothing else. It is not fast. What it says is what
`tutelage.objectives.dpo` computes; a test holds the two equal in float64.

`policy` and `reference` are any functions from token ids [L] to logits [L, V], where a token sees only what stands before it.

Try it:  python reference/dpo.py
"""

import copy

import torch
from torch import nn
from torch.nn.functional import logsigmoid, scaled_dot_product_attention

# --------------------------------------------------------------------------------------------- how likely is this response?


def log_probability(model, prompt, response):
    """log pi(response | prompt) in nats: the sum over its tokens, the end token included.

    The logits at place t are about token t + 1, so the first token of the response is predicted at the prompt's last place.
    """
    logits = model(torch.tensor(prompt + response))[len(prompt) - 1 : -1]
    return logits.log_softmax(-1)[range(len(response)), response].sum()


# ----------------------------------------------------------------------------------------------------------------- the loss


def reward(policy, reference, prompt, response, beta):
    """Rafailov et al., arXiv 2305.18290, section 4: the reward for which `policy` would be the best answer to
    "earn as much as you can, paying beta per nat of KL to the reference"; up to a number that depends on the prompt alone."""
    with torch.no_grad():
        before = log_probability(reference, prompt, response)
    return beta * (log_probability(policy, prompt, response) - before)


def ranking_loss(policy, reference, prompt, responses, better, beta):
    """Their eq. 7, for each pair (winner, loser) of places in `responses`. The unknown number cancels in the difference."""
    rewards = [reward(policy, reference, prompt, response, beta) for response in responses]
    return sum(-logsigmoid(rewards[winner] - rewards[loser]) for winner, loser in better) / len(better)


def loss(policy, reference, rankings, beta=0.1):
    """The mean over rankings in which somebody prefers something. Before the first step it is log 2, whatever the data."""
    told = [(prompt, responses, better) for prompt, responses, better in rankings if better]
    return sum(ranking_loss(policy, reference, *ranking, beta) for ranking in told) / len(told)


# ------------------------------------------------------------------------------------------------------------- a small model


class Speaker(nn.Module):
    """One layer of attention over 16 words."""

    def __init__(self, words=16, width=32):
        super().__init__()
        self.word, self.place = nn.Embedding(words, width), nn.Embedding(32, width)
        self.mix, self.think = nn.Linear(width, 3 * width), nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.head = nn.Linear(width, words, bias=False)

    def forward(self, ids):
        x = self.word(ids) + self.place(torch.arange(len(ids)))
        q, k, v = self.mix(x).chunk(3, -1)
        x = x + scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
        return self.head(x + self.think(x))


def main():
    """People here like the word 7, the more of it the better."""
    torch.manual_seed(0)

    def some(n):
        return torch.randint(1, 16, (n,)).tolist()

    def ranking():
        responses = [[*some(6), 0] for _ in range(4)]
        liked = [response.count(7) for response in responses]
        return some(2), responses, [(a, b) for a in range(4) for b in range(4) if liked[a] > liked[b]]

    @torch.no_grad()
    def share_of_sevens(model):
        return sum(model(torch.tensor(some(2)))[-1].softmax(-1)[7].item() for _ in range(50)) / 50

    policy = Speaker()
    reference = copy.deepcopy(policy)
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
    print(f"probability of a 7 as the first word before training: {share_of_sevens(policy):.2f}")
    for _ in range(40):
        loss(policy, reference, [ranking() for _ in range(8)]).backward()
        optimizer.step()
        optimizer.zero_grad()
    print(f"probability of a 7 as the first word after training:  {share_of_sevens(policy):.2f}")


if __name__ == "__main__":
    main()
