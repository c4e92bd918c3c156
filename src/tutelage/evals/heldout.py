"""Are skills combined that were only ever trained apart: recombinations, unseen phrasings, longer lists, in no training data?"""

from tutelage.evals.gold import Graded, gold_measure

EVAL = Graded(gold_measure("heldout", "Held-out recombinations"), "overall", heldout=True)
