"""The last thing a process of the command line does: see that it ends as it has said."""

from __future__ import annotations

import signal


def settle() -> None:
    """Nothing that comes now changes how this process ends: its exit code is known.

    Someone impatient presses Control-C twice. The second would end the process by the signal,
    for Python puts its own handler away before it is gone.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Python notes that an interrupt went through code that was given as a text (that of a named
    # tuple in an import, say), and `python -m` then ends by that signal, though it was handled.
    # Another text that comes to its end makes it forget.
    exec("")
