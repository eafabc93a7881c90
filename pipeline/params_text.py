"""``params.yaml`` edited as text: what an edit doesn't concern stays as it is, to the byte: comments, blank lines, quotes, line ends.

Where something stands, the YAML reader says; every edit is read again and held against what it should say.
"""

from __future__ import annotations

import copy
import io
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from cgm.core.errors import UserError
from cgm.core.files import replacing

PLAIN = re.compile(r"[\w./~-]+( [\w./~-]+)*")
"""Words that need no quotes in any reader, or get them by themselves (``true``)."""


def read(path: Path) -> str:
    """With its line ends as they are."""
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def rewrite(path: Path, text: str) -> None:
    """In place of what stood there, if anything did: with its mode, and where it is a link, in the file that it leads to."""
    place = path.resolve()
    with replacing(place) as temporary:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
        if place.exists():
            shutil.copymode(place, temporary)


def with_entry(path: Path, text: str, keys: Sequence[str], name: str, entry: dict[str, Any]) -> str:
    """``text`` of ``path`` with ``name: entry`` in the mapping at ``keys``, behind what is there; the mapping is made where it is missing.

    Raises :class:`UserError` where the text doesn't allow that.
    """
    document = _loaded(text)
    place = document
    for key in keys:
        if place.get(key) is None:
            place[key] = {}
        place = place[key]
        if not isinstance(place, dict):
            raise UserError(f"{path}: {'.'.join(keys)}: found {type(place).__name__}, expected a mapping")
    place[name] = copy.deepcopy(entry)
    line = _line(name, entry)
    return _held(path, _inserted(text, keys, line), document, f"add this line to {'.'.join(keys)} by hand: {line}")


def without_entry(path: Path, text: str, keys: Sequence[str], name: str) -> str:
    """``text`` of ``path`` without ``name`` in the mapping at ``keys``. Raises :class:`UserError` where the text doesn't allow that."""
    document = _loaded(text)
    place = document
    for key in keys:
        place = place[key]
    del place[name]
    return _held(path, _removed(text, keys, name), document, f"remove {name} from {'.'.join(keys)} by hand")


def _loaded(text: str) -> Any:
    return YAML(typ="safe").load(text)


def _held(path: Path, text: str, expected: Any, remedy: str) -> str:
    """``text``, if it says what is ``expected``; an edit that went wrong is never written."""
    try:
        found = _loaded(text)
    except (YAMLError, ValueError):
        found = None
    if found != expected:
        raise UserError(f"{path}: is written in a way that this command can't edit; {remedy}")
    return text


def _line(name: str, entry: dict[str, Any]) -> str:
    """``name: {key: value, …}``, without an end of line."""
    yaml = YAML(typ="rt")
    yaml.width = 10**6
    flow = CommentedMap({key: _quoted(value) for key, value in entry.items()})
    flow.fa.set_flow_style()
    file = io.StringIO()
    yaml.dump({name: flow}, file)
    return file.getvalue().strip()


def _quoted(value: Any) -> Any:
    """Strings in quotes where a reader may take a part of them for YAML's own."""
    if isinstance(value, dict):
        return {key: _quoted(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_quoted(each) for each in value]
    return DoubleQuotedScalarString(value) if isinstance(value, str) and not PLAIN.fullmatch(value) else value


def _child(node: MappingNode, key: str) -> tuple[ScalarNode, Node] | None:
    return next(((found, value) for found, value in node.value if found.value == key), None)


def _inserted(text: str, keys: Sequence[str], line: str) -> str:
    node, rest = YAML(typ="rt").compose(text), list(keys)
    outer, key = None, None
    while rest and (child := _child(node, rest[0])) is not None:
        outer, (key, value) = node, child
        rest.pop(0)
        if not isinstance(value, MappingNode):  # without a value
            return _filled(text, outer, key, value, rest, line)
        node = value
    if outer is not None and key is not None and not node.value:
        return _filled(text, outer, key, node, rest, line)
    if node.flow_style:
        before = ", " if node.value else ""
        place = _end(node.value[-1]) if node.value else node.start_mark.index + 1
        return text[:place] + before + _nested_flow(rest, line) + text[place:]
    return _after_line(text, _end(node.value[-1]), _nested(rest, line, node.value[0][0].start_mark.column))


def _filled(text: str, outer: MappingNode, key: ScalarNode, value: Node, rest: Sequence[str], line: str) -> str:
    """Give a key something, in place of nothing, null or ``{}``."""
    colon = text.index(":", key.end_mark.index) + 1
    if value.start_mark.index < value.end_mark.index:
        text = text[: value.start_mark.index].rstrip(" ") + text[value.end_mark.index :]
    if outer.flow_style:
        return f"{text[:colon]} {{{_nested_flow(rest, line)}}}{text[colon:]}"
    return _after_line(text, colon, _nested(rest, line, key.start_mark.column + 2))


def _nested(keys: Sequence[str], line: str, indent: int) -> list[str]:
    """Lines of a block."""
    words = [*(f"{key}:" for key in keys), line]
    return [" " * (indent + 2 * depth) + each for depth, each in enumerate(words)]


def _nested_flow(keys: Sequence[str], line: str) -> str:
    return "".join(f"{key}: {{" for key in keys) + line + "}" * len(keys)


def _after_line(text: str, place: int, lines: Sequence[str]) -> str:
    """``lines`` below the one that ``place`` is in."""
    newline = "\r\n" if "\r\n" in text else "\n"
    end = text.find("\n", place) + 1
    before, after = (text[:end], text[end:]) if end else (text + newline, "")
    return before + "".join(line + newline for line in lines) + after


def _end(pair: tuple[Node, Node]) -> int:
    """Behind the last letter of an entry of a mapping; what follows it, comments too, is none of it."""
    key, value = pair
    if isinstance(value, MappingNode) and not value.flow_style:
        return _end(value.value[-1])
    if isinstance(value, SequenceNode) and not value.flow_style:
        return _end((key, value.value[-1]))
    return max(key.end_mark.index, value.end_mark.index) if value.start_mark.index < value.end_mark.index else key.end_mark.index


def _removed(text: str, keys: Sequence[str], name: str) -> str:
    outer, node = None, YAML(typ="rt").compose(text)
    for key in keys:
        child = _child(node, key)
        assert child is not None  # the text was loaded, and has it
        (outer, node) = child
    place = next((index for index, (key, _) in enumerate(node.value) if key.value == name), None)
    if place is None:  # it comes from elsewhere, by <<
        return text
    pair = node.value[place]
    start, end = pair[0].start_mark.index, _end(pair)
    if node.flow_style:
        if place + 1 < len(node.value):
            end = node.value[place + 1][0].start_mark.index
        elif place:
            start = _end(node.value[place - 1])
        return text[:start] + text[end:]
    start = text.rindex("\n", 0, start) + 1
    end = text.find("\n", len(text[:end].rstrip())) + 1 or len(text)
    text = text[:start] + text[end:]
    if len(node.value) == 1 and outer is not None:
        colon = text.index(":", outer.end_mark.index) + 1
        text = f"{text[:colon]} {{}}{text[colon:]}"
    return text
