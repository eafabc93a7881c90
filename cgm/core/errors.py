"""The one exception that a user of the commands ever sees."""


class UserError(Exception):
    """Bad input, in one message: what was found, what was expected, how to put it right.

    The message names the file or the key. Stage commands print it on one line and exit with code 2, without a traceback.
    """
