"""Reads a Runner without running it: what it derives from, which hooks it has, what will go wrong."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from compox_core.errors import PackageError

TYPED = {
    "Image2ImageRunner": "Image2Image",
    "Image2SegmentationRunner": "Image2Segmentation",
    "Segmentation2SegmentationRunner": "Segmentation2Segmentation",
    "Image2EmbeddingRunner": "Image2Embedding",
    "Image2AlignmentRunner": "Image2Alignment",
    "Image2MultiRegionSegmentationRunner": "Image2MultiRegionSegmentation",
}
KNOWN = {**TYPED, "BaseRunner": "Generic"}
DOUBTFUL = {
    "__del__": "it runs at the end of every run, since each run has an instance of its own",
    "__slots__": "attributes of a run live in its `__dict__`",
    "lru_cache": "it keeps the instance of every run alive; use a function outside the class",
    "cache": "it keeps the instance of every run alive; use a function outside the class",
    "cached_property": "it is computed anew in every run; set it in load_assets instead",
}


@dataclass
class _Facts:
    """What is known of the class: the runner of ours that it derives from (None: cannot be told), whether some of its
    bases cannot be followed, the names that it and its bases define, and the doubtful ones among them."""

    base: str | None = None
    partly: bool = False
    names: set[str] = field(default_factory=set)
    doubts: set[str] = field(default_factory=set)


def inspect_runner(modules: dict[str, bytes], algorithm_type: str) -> list[str]:
    """Return warnings about the class `Runner` in `Runner.py`, as far as the source tells without being run.

    Args:
        modules: The sources by path relative to the root; compiled ones tell nothing.
        algorithm_type: What `[tool.compox]` declares.

    Raises:
        PackageError: `algorithm_runner_not_found` when Runner.py has no `Runner`, or it derives from none of ours.
    """
    if "Runner.py" not in modules:
        return []
    facts = _Reader(modules).runner()
    if facts is None:
        return []
    warnings = [f"Runner uses {name}: {DOUBTFUL[name]}." for name in sorted(facts.doubts)]
    if facts.base is None:
        return warnings
    needed = ["inference"] if facts.base in TYPED else ["preprocess", "inference", "postprocess"]
    missing = [hook for hook in needed if hook not in facts.names]
    if missing and not facts.partly:
        warnings.append(f"Runner has no {', '.join(missing)}: executions will fail; trainings and benchmarks may run.")
    kind = KNOWN[facts.base]
    if algorithm_type not in ("Undefined", kind):
        warnings.append(
            f"algorithm_type is {algorithm_type}, and Runner derives from {facts.base}, which is for {kind}."
        )
    return warnings


class _Reader:
    """Follows the class `Runner` through the algorithm's own modules to one of our runners."""

    def __init__(self, modules: dict[str, bytes]) -> None:
        self._modules = modules
        self._outcomes: dict[tuple[str, str], str] = {}

    def runner(self) -> _Facts | None:
        """Return what is known of `Runner`; None when it comes from where we cannot look."""
        tree = self._tree("Runner.py")
        if not self._definitions(tree, "Runner"):
            if _stars(tree):
                return None
            raise _not_found("Runner.py defines no class `Runner`: write `class Runner(BaseRunner)` in it")
        facts = _Facts()
        if self._name("Runner.py", "Runner", facts) == "foreign":
            raise _not_found(
                "`Runner` does not derive from BaseRunner or one of the typed runners of compox_core.runners"
            )
        return facts

    def _name(self, path: str, name: str, facts: _Facts) -> str:
        """Add to `facts` what a name of a module may stand for; return `known`, `foreign` or `unclear`.

        A name that is bound more than once, in the branches of a `try` say, is the best of what it may be.
        """
        place = (path, name)
        if place not in self._outcomes:
            self._outcomes[place] = "unclear"  # what a name is that leads back to itself
            tree = self._tree(path)
            found = [self._follow(path, node, name, facts) for node in self._definitions(tree, name)]
            self._outcomes[place] = _best(found or [self._starred(path, node, name, facts) for node in _stars(tree)])
        return self._outcomes[place]

    def _follow(self, path: str, node: ast.stmt, name: str, facts: _Facts) -> str:
        match node:
            case ast.ImportFrom():
                original = next(alias.name for alias in node.names if (alias.asname or alias.name) == name)
                inner = self._own_module(path, node)
                return self._known(original, facts) if inner is None else self._name(inner, original, facts)
            case ast.ClassDef():
                _note(node, facts)
                outcomes = [self._expression(path, base, facts) for base in node.bases] or ["foreign"]
                facts.partly = facts.partly or "unclear" in outcomes
                return _best(outcomes)
            case ast.Assign(targets=[ast.Name()], value=value) | ast.AnnAssign(value=ast.expr() as value):
                return self._expression(path, value, facts)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return "foreign"
        return "unclear"

    def _starred(self, path: str, node: ast.ImportFrom, name: str, facts: _Facts) -> str:
        """Follow a name that nothing binds but, perhaps, `from … import *`."""
        inner = self._own_module(path, node)
        if inner is not None:
            return self._name(inner, name, facts)
        ours = not node.level and (node.module or "").split(".")[0] in ("compox", "compox_core")
        return self._known(name, facts) if ours else "unclear"

    def _expression(self, path: str, value: ast.expr, facts: _Facts) -> str:
        match value:
            case ast.Name(id="object"):
                return "foreign"
            case ast.Name(id=name):
                return self._name(path, name, facts)
            case ast.Attribute(attr=name):
                return self._known(name, facts)
        return "unclear"

    def _known(self, name: str, facts: _Facts) -> str:
        if name not in KNOWN:
            return "unclear"
        facts.base = facts.base or name
        return "known"

    def _own_module(self, path: str, node: ast.ImportFrom) -> str | None:
        """Return the path of the algorithm's own module that an import names, else None."""
        folders = path.split("/")[:-1] if node.level else []
        if node.level > 1:
            folders = folders[: len(folders) - (node.level - 1)]
        parts = [*folders, *(node.module.split(".") if node.module else [])]
        for candidate in ("/".join(parts) + ".py", "/".join([*parts, "__init__.py"])):
            if candidate in self._modules:
                return candidate
        return None

    def _definitions(self, tree: ast.Module, name: str) -> list[ast.stmt]:
        """Return the top-level statements that bind `name`, also inside `if`, `try` and the like."""
        return [node for node in _top_level(tree.body) if name in _bound(node)]

    def _tree(self, path: str) -> ast.Module:
        return ast.parse(self._modules[path])


def _stars(tree: ast.Module) -> list[ast.ImportFrom]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"]


def _best(outcomes: list[str]) -> str:
    return next((outcome for outcome in ("known", "unclear", "foreign") if outcome in outcomes), "unclear")


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While):
            for inner in ast.iter_child_nodes(node):
                statements = inner.body if isinstance(inner, ast.ExceptHandler) else [inner]
                yield from _top_level([statement for statement in statements if isinstance(statement, ast.stmt)])


def _bound(node: ast.stmt) -> set[str]:
    """Return the names that a statement binds."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    if isinstance(node, ast.ImportFrom):
        return {alias.asname or alias.name for alias in node.names}
    if isinstance(node, ast.Import):
        return {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        inner = (each for target in targets for each in ast.walk(target))
        return {each.id for each in inner if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    return set()


def _note(node: ast.ClassDef, facts: _Facts) -> None:
    for statement in node.body:
        names = _bound(statement)
        if isinstance(statement, ast.FunctionDef):
            for decorator in statement.decorator_list:
                inner = decorator.func if isinstance(decorator, ast.Call) else decorator
                names.add(inner.attr if isinstance(inner, ast.Attribute) else getattr(inner, "id", ""))
        facts.names |= names
        facts.doubts |= names & DOUBTFUL.keys()


def _not_found(why: str) -> PackageError:
    return PackageError(f"{why}.", code="algorithm_runner_not_found")
