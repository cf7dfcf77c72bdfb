"""What an exception of a user's code is called, and what to do about it."""

from __future__ import annotations


def describe(error: BaseException) -> str:
    """The exception in words that end a sentence."""
    if isinstance(error, UnboundLocalError):
        return f"an error: the variable '{_variable(error)}' has no value here"
    return f"{type(error).__name__}: {error}"


def hint(error: BaseException) -> str:
    """What to do about the exception, or nothing."""
    if isinstance(error, ZeroDivisionError):
        return "Check the divisor before dividing."
    if isinstance(error, UnboundLocalError):
        return f"Assign '{_variable(error)}' on every path, for example 0 first."
    if isinstance(error, TypeError) and "'NoneType' object is not" in str(error):
        return "There may be no interpretation: test 'if current_state_interpretations:' first."
    return ""


def _variable(error: UnboundLocalError) -> str:
    # Python 3.11 leaves error.name empty for locals; the name stands in quotes in the message.
    return error.name or next(iter(str(error).split("'")[1:2]), "?")
