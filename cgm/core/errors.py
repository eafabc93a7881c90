"""The one exception that a user of the commands ever sees, and what the system's own become."""

import errno
import re
from pathlib import Path


class UserError(Exception):
    """Bad input, in one message: what was found, what was expected, how to put it right.

    The message names the file or the key. Stage commands print it on one line and exit with code 2, without a traceback.
    """


class NotToBeHad(UserError):
    """A file that can't be had, or is another than the right one.

    ``reason``: why, in a few words that name no place of this machine, for tables that go round the world.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


REMEDIES = {
    errno.EACCES: "expected to be allowed to read and write there; change its permissions, or name another place",
    errno.EPERM: "expected to be allowed to read and write there; change its permissions, or name another place",
    errno.EROFS: "expected to be allowed to write there; name another place",
    errno.ENOSPC: "expected room on the disk; free some, or name another place",
    errno.EDQUOT: "expected room on the disk; free some, or name another place",
    errno.ENOTDIR: "expected a folder; name another place",
    errno.EISDIR: "expected a file; name another place",
    errno.EEXIST: "expected a folder, or nothing; name another place",
    errno.ENAMETOOLONG: "expected a shorter name",
}
"""What the system may refuse a user, and what to do; anything else that it says is a bug here."""


def refusal(error: OSError) -> str | None:
    """One line for what the system refuses; None for what isn't the user's to mend."""
    if error.errno not in REMEDIES or not isinstance(error.filename, str):
        return None
    place = Path(error.filename)
    if re.search(r"\.\d+\.tmp", place.name):  # of cgm.core.files.replacing: nobody knows this name
        place = place.parent
    return f"{place}: {str(error.strerror).lower()}; {REMEDIES[error.errno]}"
