"""What a user may do wrong, said in one sentence; and what the machine may do wrong, after which a run can go on."""


class UserError(Exception):
    """A mistake in what the user gave: one sentence that names file, row and field (or the recipe's line) and says what would
    be right. The command line prints it alone and exits with 2; nothing was written."""


class Interrupted(Exception):
    """The machine failed, not the user: a full disk, an unwritable directory. The command exits with 1 and can be run again."""
