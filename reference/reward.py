"""A reward model, from top to bottom: people rank responses, and a number is learnt for each response that explains the ranking.

Read it from here to the end, or copy it: it imports torch and nothing else. It is not fast. What it says is what
`tutelage.objectives.reward` computes; a test holds the two equal in float64.

`model` is any function from token ids [L] to one score per token [L], where a token sees only what stands before it.

Try it:  python reference/reward.py
"""

import torch
from torch import nn
from torch.nn.functional import logsigmoid, scaled_dot_product_attention

# ---------------------------------------------------------------------------------------------------------------- the score


def score(model, prompt, response):
    """One number for a whole response: the score at its last token, which alone has seen all of it.

    That token is the end token where the response ended by itself, and simply the last one where it was cut off.
    """
    return model(torch.tensor(prompt + response))[-1]


# ----------------------------------------------------------------------------------------------------------------- the loss


def ranking_loss(model, prompt, responses, better):
    """InstructGPT, arXiv 2203.02155, eq. 1. `better` lists pairs (winner, loser) of places in `responses`.

    Bradley and Terry: people prefer w to l with probability sigmoid(score_w - score_l). We maximise the likelihood of what they
    said. Dividing by the number of pairs makes a ranking of nine weigh as much as a single comparison.
    """
    scores = [score(model, prompt, response) for response in responses]
    return sum(-logsigmoid(scores[winner] - scores[loser]) for winner, loser in better) / len(better)


def loss(model, rankings):
    """The mean over rankings. Who finds all responses equally good has said nothing about their order, and is left out."""
    told = [(prompt, responses, better) for prompt, responses, better in rankings if better]
    return sum(ranking_loss(model, *ranking) for ranking in told) / len(told)


# ---------------------------------------------------------------------------------------------------------------- the scale


@torch.no_grad()
def scale(model, demonstrations, samples):
    """(shift, scale) for (score - shift) * scale. The loss sees only differences, so where 0 lies and how long 1 is are free.

    We let demonstrations score 0 on average, and let 1 be the standard deviation over samples of the model that RL starts from:
    then a coefficient for the KL, or a penalty of -1, means the same for every reward model.
    """
    shown = torch.stack([score(model, prompt, response) for prompt, response in demonstrations])
    drawn = torch.stack([score(model, prompt, response) for prompt, response in samples])
    return shown.mean(), 1 / drawn.std(correction=0)


# ------------------------------------------------------------------------------------------------------------- a small model


class Scorer(nn.Module):
    """One layer of attention over 16 words, and a score from what it gathers."""

    def __init__(self, words=16, width=32):
        super().__init__()
        self.word, self.place = nn.Embedding(words, width), nn.Embedding(32, width)
        self.mix, self.think = nn.Linear(width, 3 * width), nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.head = nn.Linear(width, 1, bias=False)

    def forward(self, ids):
        x = self.word(ids) + self.place(torch.arange(len(ids)))
        q, k, v = self.mix(x).chunk(3, -1)
        x = x + scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
        return self.head(x + self.think(x))[:, 0]


def main():
    """People here like the word 7, the more of it the better."""
    torch.manual_seed(0)

    def some(n):
        return torch.randint(1, 16, (n,)).tolist()

    def ranking():
        responses = [[*some(6), 0] for _ in range(4)]
        liked = [response.count(7) for response in responses]
        return some(2), responses, [(a, b) for a in range(4) for b in range(4) if liked[a] > liked[b]]

    def right(model, rankings):
        pairs = [(score(model, p, r[a]) > score(model, p, r[b])).item() for p, r, better in rankings for a, b in better]
        return sum(pairs) / len(pairs)

    model, unseen = Scorer(), [ranking() for _ in range(50)]
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    print(f"right about unseen pairs before training: {right(model, unseen):.2f}")
    for _ in range(60):
        loss(model, [ranking() for _ in range(8)]).backward()
        optimizer.step()
        optimizer.zero_grad()
    print(f"right about unseen pairs after training:  {right(model, unseen):.2f}")


if __name__ == "__main__":
    main()
