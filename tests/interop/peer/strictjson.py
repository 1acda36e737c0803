"""JSON as PROTOCOL.md §4 has it: RFC 8259, no member twice, at most 3 levels, at most 32 members in an object."""

from __future__ import annotations

import re

from .errors import Refused, check

_SPACE = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"((?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*)"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"true|false|null")
MAX_LEVELS = 3
MAX_MEMBERS = 32


class Number(str):
    """A number as it is written."""


class Word(str):
    """`true`, `false` or `null`."""


class Text(str):
    """A string as it is written, without its quotes: a backslash in it is still there."""


Value = Number | Word | Text | list["Value"] | dict[str, "Value"]


def parse_object(data: bytes) -> dict[str, Value]:
    """Reads one object and nothing after it."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("Json") from None
    parser = _Parser(text)
    value = parser.value(1)
    parser.skip()
    check(parser.at == len(text) and isinstance(value, dict), "Json")
    assert isinstance(value, dict)
    return value


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def skip(self) -> None:
        self.match(_SPACE)

    def took(self, character: str) -> bool:
        self.skip()
        if not self.text.startswith(character, self.at):
            return False
        self.at += 1
        return True

    def string(self) -> Text:
        self.skip()
        found = self.match(_STRING)
        if not found:
            raise Refused("Json")
        return Text(found[1])

    def value(self, level: int) -> Value:
        self.skip()
        first = self.text[self.at : self.at + 1]
        if first == "{":
            return self.members(level)
        if first == "[":
            return self.elements(level)
        if first == '"':
            return self.string()
        if found := self.match(_NUMBER):
            return Number(found[0])
        if found := self.match(_WORD):
            return Word(found[0])
        raise Refused("Json")

    def members(self, level: int) -> dict[str, Value]:
        check(level <= MAX_LEVELS and self.took("{"), "Json")
        members: dict[str, Value] = {}
        if self.took("}"):
            return members
        while True:
            name = self.string()
            check("\\" not in name and name not in members and self.took(":"), "Json")
            members[name] = self.value(level + 1)
            check(len(members) <= MAX_MEMBERS, "Json")
            if self.took("}"):
                return members
            check(self.took(","), "Json")

    def elements(self, level: int) -> list[Value]:
        check(level <= MAX_LEVELS and self.took("["), "Json")
        elements: list[Value] = []
        if self.took("]"):
            return elements
        while True:
            elements.append(self.value(level + 1))
            if self.took("]"):
                return elements
            check(self.took(","), "Json")
