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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LIBRARY = Path(__file__).parents[1]


@dataclass
class Source:
    """A parsed file: definitions by name, imports by name, and statements that run on import."""

    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    statements: list[ast.stmt] = field(default_factory=list)


class _WithoutDocstrings(ast.NodeTransformer):
    def visit(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
        return node


def _imported(node: ast.stmt) -> dict[str, tuple[str, str]]:
    """Local names that an import binds, each with its module and the name there ("" = all)."""
    if isinstance(node, ast.Import):
        return {a.asname or a.name.split(".")[0]: (a.name, "") for a in node.names}
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return {a.asname or a.name: (node.module, a.name) for a in node.names}
    return {}


def _bound(node: ast.stmt) -> list[str]:
    """Names that a statement of a file defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    elements = [e for t in targets for e in (t.elts if isinstance(t, ast.Tuple) else [t])]
    return [e.id for e in elements if isinstance(e, ast.Name)]


@functools.cache
def _parsed(path: Path, _stamp: int) -> Source:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    _WithoutDocstrings().visit(tree)
    source = Source()
    for node in tree.body:
        names = _bound(node)
        if isinstance(node, ast.Import | ast.ImportFrom):
            source.imports |= _imported(node)
        elif names:
            for name in names:
                source.definitions.setdefault(name, []).append(node)
        elif "TYPE_CHECKING" not in ast.dump(node):
            source.statements.append(node)
    return source


class _Closure:
    """The definitions that some code reaches, as text by module and name."""

    def __init__(self, library: Path, elsewhere: dict[str, Path]) -> None:
        self.library, self.elsewhere = library, elsewhere
        self.found: dict[tuple[str, str], str] = {}

    def path(self, module: str) -> Path | None:
        """File of a module of the library, or of a module that the code itself lies in."""
        if module in self.elsewhere:
            return self.elsewhere[module]
        parts = module.split(".")
        if parts[0] != self.library.name:
            return None
        base = self.library.joinpath(*parts[1:])
        tries = [base.with_suffix(".py"), base / "__init__.py"]
        return next((path for path in tries if path.is_file()), None)

    def add(self, module: str, name: str) -> None:
        """Add a definition and all that it uses; "" stands for a whole file."""
        path = self.path(module)
        if path is None or (module, name) in self.found:
            return
        source = _parsed(path, path.stat().st_mtime_ns)
        self.found[module, name] = ""
        nodes = source.definitions.get(name, [])
        if not name:
            nodes = [node for part in source.definitions.values() for node in part]
        elif name in source.imports:
            self.follow(*source.imports[name])
        elif not nodes:
            self.add(f"{module}.{name}", "")
        if name:
            self.add_statements(module, source)
        else:
            nodes = nodes + source.statements
        self.found[module, name] = "\n".join(ast.dump(node) for node in nodes)
        self.add_uses(module, source, nodes)

    def add_statements(self, module: str, source: Source) -> None:
        """Add what runs when a file is imported, such as filling a registry."""
        if source.statements and (module, "<import>") not in self.found:
            dumped = "\n".join(ast.dump(node) for node in source.statements)
            self.found[module, "<import>"] = dumped
            self.add_uses(module, source, source.statements)

    def add_uses(self, module: str, source: Source, nodes: list[ast.stmt]) -> None:
        """Follow the names that some nodes use, and the imports inside them."""
        for node in (inner for outer in nodes for inner in ast.walk(outer)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for target in _imported(node).values():
                    self.follow(*target)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                base = source.imports.get(node.value.id)
                if base is not None and self.path(".".join(filter(None, base))):
                    self.follow(".".join(filter(None, base)), node.attr)
            elif isinstance(node, ast.Name):
                if node.id in source.definitions:
                    self.add(module, node.id)
                elif node.id in source.imports:
                    self.follow(*source.imports[node.id])

    def follow(self, module: str, name: str) -> None:
        """Follow an import; of a module that is imported as a name, the attributes are followed."""
        if name and not self.path(f"{module}.{name}"):
            self.add(module, name)


def _origin(code: object) -> tuple[str, str, Path]:
    """Module, name of the outermost definition, and file of a function, class or source file."""
    if isinstance(code, Path):
        return code.stem, "", code
    while isinstance(code, functools.partial):
        code = code.func
    owner: Any = code if hasattr(code, "__qualname__") else type(code)
    module, name = owner.__module__, owner.__qualname__.split(".")[0]
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        raise TypeError(f"{module}.{name} is not defined in a file: its code cannot be hashed")
    return module, name, Path(file)


def reached(*code: object, library: Path = LIBRARY) -> dict[tuple[str, str], str]:
    """The definitions that count in `code_key`, by module and name, as syntax trees."""
    return _closure(tuple(_origin(part) for part in code), library)


def _closure(origins: tuple[tuple[str, str, Path], ...], library: Path) -> dict[Any, str]:
    inside = library.name + "."
    elsewhere = {module: path for module, _, path in origins if not module.startswith(inside)}
    closure = _Closure(library, elsewhere)
    for module, name, _ in origins:
        closure.add(module, name)
    return closure.found


def code_key(*code: object, library: Path = LIBRARY) -> str:
    """Hash of functions, classes or source files, with all of the library that they reach.

    Parameters
    ----------
    code : functions, classes, partial functions, or paths of Python files (a file counts whole)
    library : folder of the library's source; it is read once in a process, as imports are

    Raises
    ------
    TypeError
        A function that is not defined in a file, such as one typed into a prompt.
    """
    origins = tuple(_origin(part) for part in code)
    return _key(origins, tuple(path.stat().st_mtime_ns for _, _, path in origins), library)


@functools.lru_cache(maxsize=256)
def _key(
    origins: tuple[tuple[str, str, Path], ...], _stamps: tuple[int, ...], library: Path
) -> str:
    found = sorted(_closure(origins, library).items())
    return hashlib.sha256(repr(found).encode()).hexdigest()[:16]
