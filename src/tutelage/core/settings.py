"""Settings are frozen dataclasses; recipes are YAML. This is the border between them, and the only one.

    file = read_yaml(Path("recipe.yaml")).overridden("stages.ppo.kl_coef=0.1")
    ppo = build(PPO, file.tree["stages"]["ppo"], file.name, file.lines, ("stages", "ppo"))

A setting is documented once, by the text under its field; `documentation` and `json_schema` read it from there.
"""

from tutelage.core.building import build, closest, to_plain
from tutelage.core.located import Lines, Located, Place, Plain, dotted, located, override, read_yaml, write_yaml
from tutelage.core.schema import documentation, json_schema

__all__ = [
    "Lines",
    "Located",
    "Place",
    "Plain",
    "build",
    "closest",
    "documentation",
    "dotted",
    "json_schema",
    "located",
    "override",
    "read_yaml",
    "to_plain",
    "write_yaml",
]
