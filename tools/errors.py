"""What the launcher says when it cannot go on."""


class StackError(Exception):
    """A sentence for the person at the keyboard, with the end of a log below it where that helps."""


class StopRequested(Exception):
    """Somebody asked for the end while the stack was still starting."""
