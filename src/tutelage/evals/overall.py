"""How good answers are in all: per prompt the aspect that fits it, families weighing the same."""

from tutelage.evals.gold import Graded, gold_measure

EVAL = Graded(gold_measure("overall", "Overall gold"), "overall")
