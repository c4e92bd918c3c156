"""A policy: one or more roles read together over the same packed stream.

`read(batch, ("logp", "logp@reference", "value@value"))` runs every role's network once over the stream, prompts once however
many responses hang from them, and returns what was asked for at the trained rows. Roles of one network and adapter (a value that is a
head on the policy's own hidden states) share that traversal. Roles that do not train are read without gradient. Losses see only what
`read` returns.

T tokens, M trained tokens, R responses, D width.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from tutelage.data.batch import PackedBatch
from tutelage.models.attention import SEPARATE, TREE, Plan, inputs, plan, read_separately
from tutelage.models.heads import read_words
from tutelage.models.precision import Masters, Precision, narrow
from tutelage.models.prefix import cached, has_prefix, learnt
from tutelage.models.readable import use
from tutelage.models.recompute import keep, recompute
from tutelage.models.roles import Role, active, causal, words
from tutelage.models.shards import Shards

WORDS = ("nll", "logp", "entropy", "kl")
SCALARS = ("value", "score")


@dataclass(frozen=True)
class Fit:
    """How a policy is made to fit: `shard`ed among all processes, on `device` (None: where its networks are); layers `recompute`d in the
    backward pass; what the optimizer steps and remembers `offload`ed to the processor's memory. None of it changes a gradient beyond
    rounding."""

    shard: bool = False
    recompute: bool = False
    offload: bool = False
    device: torch.device | None = None


PLAIN = Fit()


class Policy:
    """Roles by name; "policy" is the one that learns to speak (or, in reward modelling, to score). `attention` is TREE, SEPARATE for models
    that can't read packed trees (`readable.attention_for` says which), or DENSE for tests. All networks lie on one device, and what is read
    comes from there."""

    def __init__(
        self,
        roles: Mapping[str, Role],
        tokenizer: PreTrainedTokenizerFast | None = None,
        precision: Precision = "float32",
        attention: str = TREE,
        fit: Fit = PLAIN,
    ) -> None:
        self.roles = dict(roles)
        self.tokenizer = tokenizer
        self.precision = precision
        self.attention = attention
        for role in self.roles.values():
            use(causal(role.network), attention)
            role.network.eval()  # no dropout: two readings of a token must agree
        trained = {id(p) for role in self.roles.values() if role.trains for p in role.parameters()}
        for p in (p for role in self.roles.values() for p in _all_parameters(role)):
            p.requires_grad_(id(p) in trained)
        networks = list({id(role.network): role.network for role in self.roles.values()}.values())
        for network in networks if fit.recompute else ():
            recompute(network)
        self.shards: Shards | None = None
        self.masters = Masters(())
        if fit.shard:
            self.shards = Shards(networks, fit.device or self.device, precision, fit.offload)
            return
        narrowed = networks if precision == "bf16" else []
        heads = [role.head for role in self.roles.values() if role.head is not None]
        self.masters = Masters(narrowed, [*networks, *heads] if fit.offload else ())
        for network in narrowed:
            narrow(network)

    @property
    def device(self) -> torch.device:
        """Where the networks are, and where batches are brought to be read."""
        return next(self.roles["policy"].network.parameters()).device

    def trainable(self) -> dict[str, list[nn.Parameter]]:
        """What the optimizer steps, by role, each once: a parameter that two roles share belongs to the first."""
        seen: set[int] = set()
        found: dict[str, list[nn.Parameter]] = {}
        for name, role in self.roles.items():
            if role.trains:
                own = [p for p in role.parameters() if id(p) not in seen]
                seen.update(map(id, own))
                found[name] = [self._stepped(p) for p in own]
        return found

    def _stepped(self, p: nn.Parameter) -> nn.Parameter:
        return self.masters.of(p) if self.shards is None else self.shards.of(p)

    @property
    def sharded(self) -> bool:
        """Are its weights shared out among processes? Then all of them must read, as often as each other."""
        return self.shards is not None

    def rounds(self, own: int) -> int:
        """How often every process must read, where this one has `own` things to read: as often as the one that has the most."""
        if self.shards is None:
            return own
        counts: list[int] = [0] * dist.get_world_size()
        dist.all_gather_object(counts, own)
        return max(counts)

    def word_vectors(self) -> set[int]:
        """Ids (`id`) of the matrices that hold a vector for each word."""
        networks = [causal(role.network) for role in self.roles.values()]
        modules = [m for n in networks for m in (n.get_input_embeddings(), n.get_output_embeddings()) if m is not None]
        return {id(self._stepped(p)) for module in modules for p in module.parameters()}

    def collect(self) -> None:
        """The last backward pass of a step is over: bring gradients where the optimizer looks for them."""
        if self.shards is not None:
            self.shards.collect()

    def refresh(self) -> None:
        """Take over what the optimizer has stepped."""
        self.masters.refresh()
        if self.shards is not None:
            self.shards.refresh()

    def finish(self) -> None:
        """Training is over: all networks hold float32 weights again, as they were learnt. Of a sharded policy only the role "policy" is
        left, whole, in the first process."""
        if self.shards is not None:
            own = self.roles["policy"]
            own.network = self.shards.kept(own.network)
            self.roles, self.shards = {"policy": own}, None
        for role in self.roles.values():
            keep(role.network)
        self.masters.widen(role.network for role in self.roles.values())
        self.precision = "float32"

    @contextmanager
    def speaking(self, name: str) -> Iterator[Role]:
        """Within, a role whose network is whole on this process, to write with: itself, or of a sharded policy a copy, gathered now and
        freed afterwards. Every process must ask."""
        role = self.roles[name]
        if self.shards is None:
            yield role
            return
        with self.shards.whole(role.network) as whole:
            yield Role(whole, role.adapter, role.head)

    def read(self, batch: PackedBatch, needs: Sequence[str]) -> dict[str, Tensor]:
        """What `needs` names (see `objectives.objective.Read`). Raises KeyError for an unknown role."""
        if self.shards is None:
            return self._read(batch, needs)
        return self.shards.read(lambda: self._read(batch, needs))

    def _read(self, batch: PackedBatch, needs: Sequence[str]) -> dict[str, Tensor]:
        wanted: dict[str, list[str]] = {}
        for need in needs:
            quantity, _, role = need.partition("@")
            # KL is the policy's own distribution against another's, so the policy's traversal reads it.
            wanted.setdefault("policy" if quantity == "kl" else role or "policy", []).append(need)
            if quantity == "kl":
                wanted.setdefault(role, [])
        stream_plan, batch = plan(batch), batch.to(self.device)
        traversals: dict[tuple[int, str | None], Tensor] = {}
        hidden: dict[str, Tensor] = {}
        # References first: their hidden states are constants of the policy's reading.
        for role in sorted(wanted, key=lambda r: r == "policy"):
            way = self.roles[role].traversal
            if way not in traversals:
                traversals[way] = self._hidden(role, batch, stream_plan)
            hidden[role] = traversals[way]
        read: dict[str, Tensor] = {}
        for role, names in wanted.items():
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.roles[role].trains), self._autocast():
                read.update(self._read_role(role, names, batch, hidden))
        return read

    def _hidden(self, name: str, batch: PackedBatch, stream_plan: Plan) -> Tensor:
        """[T, D] the last hidden states of a role."""
        role = self.roles[name]
        learns = any(other.trains for other in self.roles.values() if other.traversal == role.traversal)
        gradient = torch.is_grad_enabled() and learns
        with torch.set_grad_enabled(gradient), active(role), self._autocast():
            if self.attention == SEPARATE:
                past = (lambda rows: cached(role, rows)) if has_prefix(role) else None
                return read_separately(causal(role.network), batch, stream_plan, past)
            prefix = learnt(role)
            told = {} if prefix is None else {"prefix": prefix.layers}
            shift = 0 if prefix is None else prefix.tokens
            tokens_1T, position_1T = inputs(batch)
            places = {"input_ids": tokens_1T, "position_ids": position_1T + shift}
            out = causal(role.network).base_model(**places, **told, tree=stream_plan, use_cache=False)
        return out.last_hidden_state[0, : len(batch.tokens_T)]

    def _read_role(self, name: str, names: Sequence[str], batch: PackedBatch, hidden: Mapping[str, Tensor]) -> dict[str, Tensor]:
        role, before_M = self.roles[name], batch.previous_T[batch.rows_M]
        read: dict[str, Tensor] = {}
        # A head that is an adapted module itself must be read under its adapter too.
        with active(role):
            for against in {n.partition("@")[2] for n in names if n.startswith("kl@")} or {""}:
                wants = [w for w in WORDS if any(n.partition("@")[0] == w and (w != "kl" or n == f"kl@{against}") for n in names)]
                reference = None if not against else (hidden[against][before_M], words(self.roles[against].network))
                if wants:
                    got = read_words(hidden[name][before_M], words(role.network), batch.targets_M, wants, batch.temperature, reference)
                    read.update({_named(w, name, against): x for w, x in got.items()})
        for n in names:
            if n.partition("@")[0] in SCALARS:
                if role.head is None:
                    raise ValueError(f"{n}: role {name!r} has no scalar head")
                places = before_M if n.startswith("value") else batch.last_R
                read[n] = role.head(hidden[name][places])
        return read

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "autocast")


def _named(want: str, role: str, against: str) -> str:
    if want == "kl":
        return f"kl@{against}"
    return want if role == "policy" else f"{want}@{role}"


def _all_parameters(role: Role) -> list[nn.Parameter]:
    return list(role.network.parameters()) + (list(role.head.parameters()) if role.head is not None else [])
