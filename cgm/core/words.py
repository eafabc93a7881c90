"""Words of messages."""


def plural(count: int, one: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{count} {one}{'' if count == 1 else 's'}"
