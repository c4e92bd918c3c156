"""How fast a role learns: learning rate, warm-up, decay, clipping, weight decay; each role has its own."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval


@dataclass(frozen=True)
class Rates:
    learning_rate: Annotated[float, Gt(0.0)] = 1e-3
    """Peak step size of AdamW. 1e-6-3e-3: small for large models, about ten times larger for LoRA."""
    warmup: Annotated[float, Interval(ge=0.0, lt=1.0)] = 0.05
    """Share of the steps over which the rate rises from a tenth to its peak. 0-0.1."""
    warmup_steps: Annotated[int, Ge(0)] | None = None
    """The same as a number of steps; null: `warmup` says it."""
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    """What follows the warm-up."""
    final: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.1
    """Share of the peak rate left at the last step (cosine and linear)."""
    counted: Literal["own", "transformers"] = "own"
    """transformers: each step has the rate that transformers' schedulers give it. The warm-up then begins at 0, and `final` would be
    reached one step after the last."""
    clip: Annotated[float, Gt(0.0)] = 1.0
    """Gradients of a role are scaled down to this norm. 0.5-1."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """muon (Jordan 2024; scaled as in arXiv 2502.16982, so rates are AdamW's) steps matrices in all directions alike: a new model learns
    from about half the tokens. Words' vectors and gains take AdamW either way."""
    weight_decay: Annotated[float, Ge(0.0)] = 0.0
    """Decoupled, on matrices only. 0-0.1."""
    beta1: Annotated[float, Interval(ge=0.0, lt=1.0)] = 0.9
    """AdamW's memory of gradients."""
    beta2: Annotated[float, Interval(gt=0.0, lt=1.0)] = 0.95
    """AdamW's memory of squared gradients. InstructGPT: 0.95."""
    epsilon: Annotated[float, Gt(0.0)] = 1e-8
    """What AdamW adds to the root of the squared gradients' memory."""

    def at(self, step: int, steps: int) -> float:
        """The rate of step `step` (from 0) of `steps`."""
        rise = math.ceil(self.warmup * steps) if self.warmup_steps is None else self.warmup_steps
        own = self.counted == "own"
        if step < rise:
            return self.learning_rate * (0.1 + 0.9 * (step + 1) / rise if own else step / rise)
        if self.schedule == "constant":
            return self.learning_rate
        done = min(1.0, (step - rise) / max(1, steps - rise - int(own)))
        share = (1 + math.cos(math.pi * done)) / 2 if self.schedule == "cosine" else 1 - done
        return self.learning_rate * (self.final + (1 - self.final) * share)
