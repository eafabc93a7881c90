"""What a method's own source says of its cost to whoever writes it: lines of code, and networks to train."""

from __future__ import annotations

import ast
import inspect
import io
import textwrap
import tokenize
from pathlib import Path

from cgm.methods import METHODS
from cgm.methods.method import Implementation, Method

SILENT = (
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER,
)  # fmt: skip
"""Tokens that make no line a line of code."""


def own_lines(implementation: str) -> int:
    """Lines of code of the method's own file."""
    return code_lines(_source(METHODS[implementation]))


def all_lines(implementation: str) -> int:
    """Lines of code of its file and of those of the methods that it derives from."""
    bases = [base for base in METHODS[implementation].__mro__ if issubclass(base, Implementation) and base.__module__ != Method.__module__]
    return sum(map(code_lines, {_source(base) for base in bases}))


def networks(implementation: str) -> int | None:
    """How many networks the method's ``build`` hands to optimisers; None where that depends on its settings."""
    method = METHODS[implementation]
    if not issubclass(method, Method):
        return None
    count = 0
    for call in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(method.build)))):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            if call.func.attr == "build" or (call.func.attr == "player" and any(each.arg is None for each in call.keywords)):
                return None
            count += len(call.keywords) if call.func.attr == "player" else 0
    return count


def code_lines(source: str) -> int:
    """Lines that hold code: no comment, docstring or blank line."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in SILENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def _source(method: type[Implementation]) -> str:
    """Of the file that the class stands in."""
    return Path(inspect.getfile(method)).read_text(encoding="utf-8")
