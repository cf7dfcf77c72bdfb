"""What each Python of a run does at its start, in words that every version of Python reads."""

try:
    from spice_runtime import python_start
except SyntaxError:
    pass  # it is older than what we are written for
else:
    python_start.begin(__file__)
