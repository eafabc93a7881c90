"""A source file taken apart for fingerprints: its definitions, what they use, and what of them counts."""

from __future__ import annotations

import ast
import copy
import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

REDUCED = {"About": (), "Part": (), "Registry": (), "Entry": (), "Packaged": ("sha256",), "Published": ("sha256",)}
"""Calls of which only these keywords count."""
SPOKEN = ("print", "say", "_say", "warn")
"""Calls that only speak to the user."""
WORDS = ("__version__", "about", "cost", "message", "minimises", "remedy")
"""Names, of variables and keywords, whose values are words, or order the work."""
PLACE = re.compile(r"[\w.]+:\w+")


@dataclass(frozen=True)
class Definition:
    """What a function, class or constant is for a fingerprint."""

    digest: str
    chains: tuple[tuple[str, ...], ...]
    """The names that it uses, with the attributes that follow them: ``("losses", "mae")``."""
    texts: tuple[str, ...]
    """Its strings that may be places."""


@dataclass(frozen=True)
class Module:
    """One source file, taken apart."""

    sha256: str
    imports: dict[str, str]
    """Local name → ``package.module`` or ``package.module.name``; ``* package.module`` → ``package.module`` where all of it is imported."""
    definitions: dict[str, tuple[Definition, Definition]]
    """By name; of each what counts without its words, and with them. ``""``: what the module does when it is imported; ``__main__``: when
    it is run."""

    @property
    def names(self) -> list[str]:
        return [name for name in self.definitions if name not in ("", "__main__")]


def from_json(known: dict[str, Any]) -> Module:
    def definition(each: dict[str, Any]) -> Definition:
        return Definition(each["digest"], tuple(map(tuple, each["chains"])), tuple(each["texts"]))

    pairs = {name: (definition(plain), definition(spoken)) for name, (plain, spoken) in known["definitions"].items()}
    return Module(known["sha256"], known["imports"], pairs)


def read(source: str, name: str, is_package: bool, digest: str) -> Module:
    """Take a module apart."""
    imports: dict[str, str] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                imports[alias.asname or alias.name.partition(".")[0]] = alias.name if alias.asname else alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom):
            package = name.split(".") if is_package else name.split(".")[:-1]
            parents = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                local, target = ("* " + origin, origin) if alias.name == "*" else (alias.asname or alias.name, f"{origin}.{alias.name}")
                imports[local] = target
    plain, spoken = (_all_defined(_statements(ast.parse(source)), words) for words in (False, True))
    return Module(digest, imports, {name: (plain[name], spoken[name]) for name in plain})


def _statements(tree: ast.Module) -> dict[str, list[ast.stmt]]:
    """The statements of each definition; ``""`` and ``__main__`` as in :attr:`Module.definitions`."""
    found: dict[str, list[ast.stmt]] = {"": [], "__main__": []}
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.setdefault(statement.name, []).append(statement)
        elif names := _assigned(statement):
            for each in names:
                found.setdefault(each, []).append(statement)
        elif isinstance(statement, ast.If) and ast.unparse(statement.test) == "__name__ == '__main__'":
            found["__main__"].append(statement)
        elif isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            found[""] += statement.orelse
        elif not isinstance(statement, ast.Import | ast.ImportFrom) and not _is_text(statement):
            found[""].append(statement)
    return found


def _all_defined(found: dict[str, list[ast.stmt]], words: bool) -> dict[str, Definition]:
    """What counts of each; the statements are changed in place."""
    several = [id(statement) for statements in found.values() for statement in statements]
    shared = {each for each, count in Counter(several).items() if count > 1}  # a statement may define several names
    return {
        name: _defined([copy.deepcopy(each) if id(each) in shared else each for each in statements], words)
        for name, statements in found.items()
    }


def _defined(statements: list[ast.stmt], words: bool) -> Definition:
    source, chains, texts = "", set[tuple[str, ...]](), set[str]()
    for statement in statements:
        if _is_words(statement, words):
            continue
        plain = _Plain(words).visit(statement)
        source += ast.unparse(plain) + "\n"
        chains |= _Names.used_in(plain)
        strings = (node.value for node in ast.walk(plain) if isinstance(node, ast.Constant) and isinstance(node.value, str))
        texts |= {text for text in strings if PLACE.fullmatch(text)}
    return Definition(hashlib.sha256(source.encode()).hexdigest(), tuple(sorted(chains)), tuple(sorted(texts)))


def _assigned(statement: ast.stmt) -> list[str]:
    """The names that a plain assignment defines."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target] if isinstance(statement, ast.AnnAssign) else []
    names = [part for target in targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return [part.id for part in names if isinstance(part, ast.Name)] if all(isinstance(part, ast.Name) for part in names) else []


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)


def _is_words(statement: ast.stmt, words: bool) -> bool:
    return not words and any(name in WORDS for name in _assigned(statement))


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id if isinstance(call.func, ast.Name) else ""


class _Plain(ast.NodeTransformer):
    """Leaves of a definition what counts."""

    def __init__(self, words: bool) -> None:
        self._words = words

    def visit(self, node: ast.AST) -> ast.AST:
        if hasattr(node, "body") and isinstance(node.body, list):
            kept = [statement for statement in node.body if not self._dropped(statement)]
            node.body = kept or [ast.Pass()]
        for rest in ("orelse", "finalbody"):
            if isinstance(getattr(node, rest, None), list):
                setattr(node, rest, [statement for statement in getattr(node, rest) if not self._dropped(statement)])
        return super().visit(node)

    def _dropped(self, statement: ast.stmt) -> bool:
        if _is_text(statement):
            return True
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) and _called(statement.value) in SPOKEN:
            return True
        return isinstance(statement, ast.Import | ast.ImportFrom) or _is_words(statement, self._words)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """The kind of the exception, not what it says."""
        kind = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return ast.copy_location(ast.Raise(exc=kind, cause=None), node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        node.msg = None
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if not self._words or _called(node) in ("Registry", "Entry"):
            if (counted := REDUCED.get(_called(node))) is not None:
                node.args = []
                node.keywords = [keyword for keyword in node.keywords if keyword.arg in counted]
            node.keywords = [keyword for keyword in node.keywords if keyword.arg not in WORDS]
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """As a call: Python 3.12 writes f-strings otherwise than 3.11."""
        parts: list[ast.expr] = []
        for value in node.values:
            if isinstance(value, ast.FormattedValue):
                shown: list[ast.expr] = [value.value, ast.Constant(value.conversion)]
                parts.append(ast.Tuple([*shown, *([value.format_spec] if value.format_spec else [])], ast.Load()))
            else:
                parts.append(value)
        return self.generic_visit(ast.copy_location(ast.Call(ast.Name("fstring", ast.Load()), parts, []), node))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg):
            if argument is not None:
                argument.annotation = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """A field keeps the text of its type (a dataclass reads it), which refers to nothing."""
        node.annotation = ast.Constant(ast.unparse(node.annotation).replace(":", ""))
        return self.generic_visit(node)


class _Names(ast.NodeVisitor):
    """Free names of a definition with the attributes that follow them: ``losses.mae`` is ``("losses", "mae")``."""

    def __init__(self) -> None:
        self.chains: set[tuple[str, ...]] = set()
        self._bound: list[set[str]] = []

    @classmethod
    def used_in(cls, node: ast.AST) -> set[tuple[str, ...]]:
        visitor = cls()
        visitor.visit(node)
        return visitor.chains

    def visit_Name(self, node: ast.Name) -> None:
        self._use((node.id,))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        chain: list[str] = []
        part: ast.expr = node
        while isinstance(part, ast.Attribute):
            chain.append(part.attr)
            part = part.value
        if isinstance(part, ast.Name):
            self._use((part.id, *reversed(chain)))
        else:
            self.visit(part)

    def _use(self, chain: tuple[str, ...]) -> None:
        if not any(chain[0] in bound for bound in self._bound):
            self.chains.add(chain)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        arguments = node.args
        for default in (*arguments.defaults, *arguments.kw_defaults, *getattr(node, "decorator_list", [])):
            if default is not None:
                self.visit(default)
        every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
        bound = {argument.arg for argument in every if argument is not None}
        body = node.body if isinstance(node.body, list) else [node.body]
        for statement in body:
            bound |= _bound_in(statement)
        self._bound.append(bound)
        for statement in body:
            self.visit(statement)
        self._bound.pop()

    visit_FunctionDef = _function
    visit_AsyncFunctionDef = _function
    visit_Lambda = _function

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        self._bound.append({name for part in node.generators for name in _bound_in(part.target)})
        self.generic_visit(node)
        self._bound.pop()

    visit_ListComp = _comprehension
    visit_SetComp = _comprehension
    visit_DictComp = _comprehension
    visit_GeneratorExp = _comprehension


def _bound_in(node: ast.AST) -> set[str]:
    """Names that a statement binds in its function; those of inner functions are their own."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Lambda | ast.Global):
        return set()
    found = {node.id} if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else set()
    if isinstance(node, ast.ExceptHandler) and node.name:
        found.add(node.name)
    for child in ast.iter_child_nodes(node):
        found |= _bound_in(child)
    return found
