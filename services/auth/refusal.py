"""What a command says when it can't do what it was asked for."""


class Refusal(Exception):
    """A command that can't be done; the text is a sentence for whoever typed it."""
