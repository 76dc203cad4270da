"""The one error that the command line turns into a single line instead of a traceback."""


class ControlPlaneError(Exception):
    """Something the person at the keyboard can act on; the message says what."""
