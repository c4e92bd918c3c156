"""Is an answer true, and does it say so when it can't know? On the same answers as `overall`, where a fact is asked for."""

from tutelage.evals.gold import Graded, gold_measure

EVAL = Graded(gold_measure("honest", "Honest"), "honest")
