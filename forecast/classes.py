"""Classes that files name: their parameters read from the source without importing it, and only our own ever imported.

A path is `forecast.<module>.<Class>` where the class is defined at the top of that module's own file. A path through
what a module imports (`forecast.x.os.mkdir`) names no such file, or no such class in it, and is refused by looking at
files alone. Parameters are those of `__init__`, or the fields of a dataclass; where a class has neither they are its
base's. Their types are read into the objects that `typing` would give: int | None, Literal["a", "b"], tuple[int, ...];
their help is the comment behind them.
"""

import ast
import importlib
import re
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, Literal, NamedTuple, Union

from forecast.errors import InputError

PACKAGE = Path(__file__).parent
OURS = re.compile(r"forecast(\.[a-z][a-z0-9_]*)+\.[A-Z][A-Za-z0-9]*")
PLAIN: dict[str, Any] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "None": NoneType,
    "Any": Any,
    "Path": Path,
    "dict": dict,
}


class Parameter(NamedTuple):
    """One constructor parameter: its type, its default (`...` where there is none) and a line of help."""

    type: Any
    default: Any
    help: str


class Module(NamedTuple):
    """The source of one of our modules: its lines, what it defines at the top, and what it takes from where."""

    name: str
    lines: list[str]
    defined: dict[str, ast.AST]
    imported: dict[str, str]  # name here → forecast.<module>.<name there>

    def comment(self, first: int, last: int) -> str:
        """The comments at the ends of lines; no default of ours holds a hash sign that this could take for one."""
        return " ".join(line.partition("  # ")[2].strip() for line in self.lines[first - 1 : last]).strip()


def parameters(path: str) -> dict[str, Parameter]:
    """The constructor parameters of the class at `path`, in order."""
    module, node = _definition(path)
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            return _arguments(module, statement.args)
    if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        return _fields(module, node)
    for base in node.bases:
        name = ast.unparse(base).partition("[")[0]
        there = module.imported.get(name, f"{module.name}.{name}" if name in module.defined else "")
        if there and (found := parameters(there)):
            return found
    return {}


def find(path: str, contract: type) -> type[Any]:
    """The class at `path`, imported once it is known to be defined there; it has to be a subclass of `contract`."""
    module, node = _definition(path)
    found = vars(importlib.import_module(module.name))[node.name]
    if not (isinstance(found, type) and issubclass(found, contract)):
        raise InputError(f"class {path!r} is not a {contract.__name__}")
    return found


def _definition(path: str) -> tuple[Module, ast.ClassDef]:
    module = _module(path.rpartition(".")[0]) if OURS.fullmatch(path) else None
    node = module.defined.get(path.rpartition(".")[2]) if module else None
    if module is None or not isinstance(node, ast.ClassDef):
        raise InputError(f"class {path!r} is not defined in forecast; name a member by its word")
    return module, node


@cache
def _module(name: str) -> Module | None:
    stem = PACKAGE.joinpath(*name.split(".")[1:])
    file = next((f for f in (stem.with_suffix(".py"), stem / "__init__.py") if f.is_file()), None)
    if file is None:
        return None
    text = file.read_text(encoding="utf-8")
    defined: dict[str, ast.AST] = {}
    imported: dict[str, str] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef):
            defined[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            defined[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            defined[node.target.id] = node.value
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("forecast."):
            imported |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return Module(name, text.splitlines(), defined, imported)


def _arguments(module: Module, arguments: ast.arguments) -> dict[str, Parameter]:
    names = [*arguments.posonlyargs, *arguments.args][1:]
    defaults: list[ast.expr | None] = [None] * (len(names) - len(arguments.defaults))
    pairs = [*zip(names, [*defaults, *arguments.defaults][-len(names) :], strict=True)] if names else []
    pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return {name.arg: _parameter(module, name, name.annotation, default) for name, default in pairs}


def _fields(module: Module, node: ast.ClassDef) -> dict[str, Parameter]:
    fields = [s for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)]
    return {f.target.id: _parameter(module, f, f.annotation, f.value) for f in fields if isinstance(f.target, ast.Name)}


def _parameter(module: Module, node: ast.AST, annotation: ast.expr | None, default: ast.expr | None) -> Parameter:
    first = getattr(node, "lineno", 1)
    last = max(getattr(part, "end_lineno", first) for part in (node, default or node))
    try:
        return Parameter(
            Any if annotation is None else _type(module, annotation),
            ... if default is None else _value(module, default),
            module.comment(first, last),
        )
    except (ValueError, KeyError) as error:
        where = f"{module.name}, line {first}"
        raise InputError(f"{where}: cannot read this parameter without importing it: {error}") from error


def _value(module: Module, node: ast.AST) -> Any:
    """A literal, or a name that stands for one."""
    if isinstance(node, ast.Name):
        return _value(*_look_up(module, node.id))
    return ast.literal_eval(ast.unparse(node))


def _type(module: Module, node: ast.AST) -> Any:
    match node:
        case ast.Constant(value=None):
            return NoneType
        case ast.Constant(value=str() as text):
            return _type(module, ast.parse(text, mode="eval").body)
        case ast.BinOp(op=ast.BitOr()):
            return Union[_type(module, node.left), _type(module, node.right)]  # noqa: UP007 - both are values here
        case ast.Subscript(value=ast.Name(id="Literal")):
            return Literal[ast.literal_eval(node.slice)]
        case ast.Subscript(value=ast.Name(id="tuple" | "Sequence" | "list"), slice=ast.Tuple(elts=[*parts])):
            kinds = [... if isinstance(p, ast.Constant) and p.value is ... else _type(module, p) for p in parts]
            return tuple[tuple(kinds)]  # type: ignore[misc]
        case ast.Subscript(value=ast.Name(id="Sequence" | "list"), slice=inner):
            return tuple[_type(module, inner), ...]  # type: ignore[misc]
        case ast.Subscript(value=ast.Name(id="dict" | "Mapping")):
            return dict
        case ast.Name(id=name) if name in PLAIN:
            return PLAIN[name]
        case ast.Name(id=name):
            return _type(*_look_up(module, name))
    raise ValueError(f"the type {ast.unparse(node)}")


def _look_up(module: Module, name: str) -> tuple[Module, ast.AST]:
    """What a name stands for, here or in the module of ours that it was imported from."""
    if name in module.imported:
        home, _, name = module.imported[name].rpartition(".")
        there = _module(home)
        if there is None:
            raise ValueError(f"the name {name}")
        return _look_up(there, name)
    if name not in module.defined:
        raise ValueError(f"the name {name}")
    return module, module.defined[name]
