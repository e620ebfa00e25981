"""What the judges share."""

import pathlib

VECTORS = pathlib.Path(__file__).resolve().parent.parent
# Codes that are not refused: the self-test takes one rule away after the other.
IGNORED: set[str] = set()


class Refused(Exception):
    """The code of a refusal."""


def want(condition: object, code: str) -> None:
    if not condition and code not in IGNORED:
        raise Refused(code)
