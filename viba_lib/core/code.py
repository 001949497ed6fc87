"""Hash of the code that a result depends on, definition by definition.

Starting from some functions, the names that each definition uses are followed through the library:
to definitions in the same file, and through imports to other files. Syntax trees without docstrings
count, so that comments, docstrings, layout and definitions that are never reached change nothing.
Names are followed, not objects: a method is found through its class, so functions annotate their
parameters. Other packages do not count; their versions are part of a page's provenance.
"""

import ast
import functools
import hashlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

LIBRARY = Path(__file__).parents[1]
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
Name = tuple[str, str]  # of a definition: its module, and its name there
Origin = tuple[str, str, Path, int]  # module, name of the outermost definition, file, its time
ALL, ON_IMPORT = "*", "<import>"  # names for a complete file, and for what its import runs


class Source:
    """A parsed file.

    Attributes
    ----------
    definitions : statements by the name that they define
    names : where each name is defined, in this file or in one that it imports
    """

    def __init__(self, module: str, path: Path) -> None:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:] or [ast.Pass()]
        self.definitions: dict[str, list[ast.stmt]] = {ALL: []}
        self.names: dict[str, Name] = {}
        for statement in tree.body:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                self.names |= _imported(statement)
                continue
            self.definitions[ALL].append(statement)
            bound = _bound(statement)
            self.names |= {name: (module, name) for name in bound}
            if not bound and "TYPE_CHECKING" not in ast.dump(statement):
                bound = [ON_IMPORT]
            for name in bound:
                self.definitions.setdefault(name, []).append(statement)

    def uses(self, nodes: Iterable[ast.AST]) -> Iterator[Name]:
        """Where the names that some nodes of this file use are defined."""
        for node in (inner for outer in nodes for inner in ast.walk(outer)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield from _imported(node).values()
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                # An attribute of a module; nothing is found if the name is something else.
                yield ".".join(filter(None, self.names.get(node.value.id, ()))), node.attr
            elif isinstance(node, ast.Name) and node.id in self.names:
                yield self.names[node.id]


def _imported(node: ast.Import | ast.ImportFrom) -> dict[str, Name]:
    """Names that an import binds; of a module that is imported itself, the name there is ""."""
    if isinstance(node, ast.Import):
        return {a.asname or a.name.split(".")[0]: (a.name, "") for a in node.names}
    return {a.asname or a.name: (node.module or "", a.name) for a in node.names}


def _bound(node: ast.stmt) -> list[str]:
    """Names that a statement of a file defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    elements = [e for t in targets for e in (t.elts if isinstance(t, ast.Tuple) else [t])]
    return [e.id for e in elements if isinstance(e, ast.Name)]


@functools.cache
def _parsed(module: str, path: Path, _stamp: int) -> Source:
    return Source(module, path)


@functools.cache  # the keys of many stages reach the same definitions
def _followed(source: Source, name: str) -> tuple[str, list[Name]]:
    """Syntax tree of a definition, and where the names that it uses are defined."""
    nodes = source.definitions.get(name, [])
    return "\n".join(map(ast.dump, nodes)), list(source.uses(nodes))


def _file(module: str, library: Path) -> Path | None:
    """File of a module of the library; None for other modules and for what is not a module."""
    package, *parts = module.split(".")
    base = library.joinpath(*parts)
    tries = [base.with_suffix(".py"), base / "__init__.py"] if package == library.name else []
    return next((path for path in tries if path.is_file()), None)


def _origin(code: object) -> Origin:
    """Where a function, class or source file is defined."""
    if isinstance(code, Path):
        return code.stem, ALL, code, code.stat().st_mtime_ns
    while isinstance(code, functools.partial):
        code = code.func
    owner: Any = code if hasattr(code, "__qualname__") else type(code)
    module, name = owner.__module__, owner.__qualname__.split(".")[0]
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        raise TypeError(f"{module}.{name} is not defined in a file: its code cannot be hashed")
    return module, name, Path(file), Path(file).stat().st_mtime_ns


def reached(*code: object, library: Path = LIBRARY) -> dict[Name, str]:
    """The definitions that count in `code_key`, by module and name, as syntax trees."""
    return _reached(tuple(map(_origin, code)), library)


def _reached(origins: tuple[Origin, ...], library: Path) -> dict[Name, str]:
    outside = {module: path for module, _, path, _ in origins if _file(module, library) is None}
    found: dict[Name, str] = {}
    waiting: list[Name] = [origin[:2] for origin in origins]
    while waiting:
        module, name = waiting.pop()
        path = outside.get(module) or _file(module, library)
        if path is None or (module, name) in found:
            continue
        source = _parsed(module, path, path.stat().st_mtime_ns)
        found[module, name], used = _followed(source, name)
        waiting += [(module, ON_IMPORT), *used]
        if name in source.names:
            waiting.append(source.names[name])
    return found


def code_key(*code: object, library: Path = LIBRARY) -> str:
    """Hash of functions, classes or source files, with all of the library that they reach.

    Parameters
    ----------
    code : functions, classes, partial functions, or paths of Python files (all of a file counts)
    library : folder of the library's source; it is read once in a process, as imports are

    Raises
    ------
    TypeError
        A function that is not defined in a file, such as one typed into a prompt.
    """
    return _key(tuple(map(_origin, code)), library)


@functools.lru_cache(maxsize=256)
def _key(origins: tuple[Origin, ...], library: Path) -> str:
    found = sorted(_reached(origins, library).items())
    return hashlib.sha256(repr(found).encode()).hexdigest()[:16]
