"""Does an answer do what was asked, in no more words than needed, and end cleanly? On the same answers as `overall`."""

from tutelage.evals.gold import Graded, gold_measure

EVAL = Graded(gold_measure("helpful", "Helpful"), "helpful")
