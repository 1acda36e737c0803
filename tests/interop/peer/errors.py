"""What ends a handshake or a session."""

from __future__ import annotations


class Refused(Exception):
    """A message or a credential is not accepted; `reason` is the first check that fails (PROTOCOL.md §2.7)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Closed(Exception):
    """The peer closed the session with a sealed alert (PROTOCOL.md §5.5)."""

    def __init__(self, code: int, argument: int) -> None:
        super().__init__(f"alert {code}, argument {argument}")
        self.code = code
        self.argument = argument


def check(condition: object, reason: str) -> None:
    """Refuses for `reason` unless `condition` holds."""
    if not condition:
        raise Refused(reason)
