"""Is the forbidden declined, and helped with what only looks like it? On the same answers as `overall`, where that is the question."""

from tutelage.evals.gold import Graded, gold_measure

EVAL = Graded(gold_measure("harmless", "Harmless"), "harmless")
