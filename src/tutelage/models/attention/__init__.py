"""Attention over packed prompt trees, exact for any transformers model that goes through `AttentionInterface`.

    o_t = softmax( q_t . k_A / sqrt(d) ) v_A,    A = the tokens of t's own segment up to t, and all of its ancestors

`plan` says once per stream who sees whom; the plan is a keyword of the model's `forward` (`tree=plan`), which transformers hands through
to the attention function (`interface`). Four ways of computing the same: `native`, a kernel of ours for processors that multiply
bfloat16 in tiles; `flex`, a kernel that torch compiles for a GPU; `blocks`, batched products of torch, for everything else; `dense`,
one masked product over the whole stream, the oracle of the tests. `beside` is what some models' attention has in addition; `separate`
reads every path alone, for models that can't read trees.
"""

from tutelage.models.attention.interface import DENSE, TREE, no_mask, strange
from tutelage.models.attention.plan import Plan, inputs, padded, plan
from tutelage.models.attention.separate import SEPARATE, read_separately

__all__ = ["DENSE", "SEPARATE", "TREE", "Plan", "inputs", "no_mask", "padded", "plan", "read_separately", "strange"]
