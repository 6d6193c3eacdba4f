"""Errors that are the user's to mend; entry points print their message without a traceback."""


class InputError(ValueError):
    """Something given to the package is wrong; the message names it and says what would be right."""


class NonFiniteError(RuntimeError):
    """A loss, gradient or parameter became infinite or not a number; names step, and player and terms or parameter."""


class LostProcessError(RuntimeError):
    """Another process of the run is gone, and this one cannot go on; says how the run comes back."""
