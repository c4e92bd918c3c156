"""The role of a policy that speaks: the sampler, with that role's adapter switched on while it samples.

Roles may share one network, and a reading leaves the network as the last role found it. Sampling without saying which role speaks
could therefore sample from the reference or the value model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tutelage.core.randomness import Key
from tutelage.models.policy import Policy
from tutelage.models.roles import active
from tutelage.models.sampler import ROWS, Sampled, Sampler
from tutelage.models.sampling import Sampling


@dataclass(frozen=True)
class RoleSpeaker:
    """Samples from a role of `policy`, in the policy's own precision, with the weights as they are at each call."""

    policy: Policy
    end: int
    """Id of the token that ends a response."""
    role: str = "policy"
    rows: int = ROWS
    """Responses written at the same time; changes no number beyond rounding."""

    def generate(self, prompts: Sequence[Sequence[int]], addresses: Sequence[tuple[Key, ...]], sampling: Sampling) -> list[Sampled]:
        dtype = torch.bfloat16 if self.policy.precision == "autocast" else None
        with self.policy.speaking(self.role) as role, active(role):
            return Sampler(role.network, self.end, self.rows, dtype).generate(prompts, addresses, sampling)
