"""
The operator's module: loading it in isolation and looking at its hooks before anything depends on them.

Each load makes a package of its own in `sys.modules` (`pymta_policy_7`) whose folder is the script's, so that two
versions of a script and its neighbours live side by side: sessions in progress keep the old one, new ones get the new
one. `import customers` inside the script means the neighbour `customers.py`, freshly loaded; the standard library, pymta
and whatever is installed are imported as ever. Nothing here calls a hook.
"""

import builtins
import difflib
import importlib.machinery
import importlib.util
import inspect
import itertools
import linecache
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from pymta.mail.errors import ConfigError

__all__ = ["HOOKS", "Script", "ScriptError", "load_script", "script_line"]

HOOKS: Final[Mapping[str, tuple[str, ...]]] = {
    "connect": ("session",),
    "hello": ("session", "name"),
    "starttls": ("session",),
    "auth": ("session", "credentials"),
    "token": ("session", "credentials"),
    "mail": ("session", "reverse_path", "[parameters]"),
    "rcpt": ("session", "forward_path", "[recipient]"),
    "message": ("session", "message"),
    "burst": ("session", "burst"),
    "route": ("message", "domain"),
    "delivered": ("attempt",),
    "deferred": ("attempt",),
    "failed": ("attempt",),
}
"""Every hook with its arguments, which are passed by position; one in brackets may be left out."""

# Names that other mail servers have for our hooks; difflib finds the plain misspellings.
_OTHER_NAMES: Final[Mapping[str, str]] = {
    "helo": "hello", "ehlo": "hello", "lhlo": "hello", "mail_from": "mail", "mailfrom": "mail", "envfrom": "mail",
    "rcpt_to": "rcpt", "rcptto": "rcpt", "recipient": "rcpt", "envrcpt": "rcpt", "data": "message", "eom": "message",
    "end_of_message": "message", "end_of_data": "message", "queue": "message", "tls": "starttls", "login": "auth",
    "authenticate": "auth", "get_route": "route", "bounce": "failed", "bounced": "failed", "sent": "delivered",
}  # fmt: skip

_MODULE_PREFIX: Final = "pymta_policy_"
_numbers = itertools.count(1)
# Two loads at once would each see half of the other's modules.
_loading = threading.RLock()


class ScriptError(ConfigError):
    """The policy script cannot be used: it does not import, or a hook is not what the name promises."""


class Script:
    """A loaded policy script: its hooks, by name."""

    def __init__(
        self, path: Path, package: str, hooks: Mapping[str, Callable[..., Any]], warnings: Sequence[str]
    ) -> None:
        self.path = path
        self.hooks = hooks
        """Only those that the script defines."""
        self.warnings = warnings
        """A line each for what is probably not meant, such as a misspelt hook."""
        # When no session holds it any more, its modules go: a server that is reloaded every hour does not grow.
        self._finalizer = weakref.finalize(self, _forget, package)
        self._finalizer.atexit = False

    def argument_count(self, hook: str) -> int:
        """How many arguments the script's function wants to be called with."""
        return _argument_count(self.hooks[hook], HOOKS[hook])


def load_script(path: str | Path) -> Script:
    """
    Load the module at *path* and check its hooks.

    Raises:
        ScriptError: it does not import or a hook has the wrong form; one line with file, line and reason.
    """
    path = Path(path).resolve()
    package = f"{_MODULE_PREFIX}{next(_numbers)}"
    with _loading:
        module = _import(path, package)
        try:
            return Script(path, package, _hooks_of(module, path), _warnings_for(module, path))
        except BaseException:
            _forget(package)
            raise


# ---- importing -----------------------------------------------------------------------------------------------------


class _Neighbours:
    """The finder for one load: modules of its package come from the script's folder, with scoped builtins."""

    def __init__(self, package: str, folder: Path) -> None:
        self.package = package
        self.folder = folder
        self.builtins = {**vars(builtins), "__import__": self.scoped_import}

    def scoped_import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 - the signature of builtins.__import__
        locals: Mapping[str, object] | None = None,  # noqa: A002 - likewise
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """`import customers` where customers.py lies beside the script is `import pymta_policy_7.customers`."""
        head = name.partition(".")[0]
        if level != 0 or not self.is_neighbour(head):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        # A from-import from the package itself does what is meant for submodules, too.
        found = builtins.__import__(f"{self.package}.{name}", {}, {}, fromlist or (), 0)
        return found if fromlist else sys.modules[f"{self.package}.{head}"]

    def is_neighbour(self, head: str) -> bool:
        """The standard library and pymta come first, so that a file called json.py beside the script breaks nothing."""
        if head in sys.stdlib_module_names or head == "pymta" or head.startswith(_MODULE_PREFIX):
            return False
        return (self.folder / f"{head}.py").is_file() or (self.folder / head / "__init__.py").is_file()


class _Finder:
    """The one entry in `sys.meta_path`: finds modules of the packages that `_import` made."""

    def __init__(self) -> None:
        self.loads: dict[str, _Neighbours] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        neighbours = self.loads.get(name.partition(".")[0])
        if neighbours is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _SourceLoader(spec.loader.name, spec.loader.path, neighbours)
        return spec


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Compiles the source itself each time: a cached .pyc of the same second and size would be the script of before."""

    def __init__(self, fullname: str, path: str, neighbours: _Neighbours) -> None:
        super().__init__(fullname, path)
        self._neighbours = neighbours

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        linecache.checkcache(path)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = self._neighbours.builtins
        super().exec_module(module)


_finder = _Finder()


def _import(path: Path, package: str) -> ModuleType:
    if not path.is_file():
        raise ScriptError("expected a policy script, there is no such file", file=path)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    neighbours = _Neighbours(package, path.parent)
    parent = ModuleType(package, "The folder of a policy script.")
    parent.__path__ = [str(path.parent)]
    parent.__spec__ = importlib.machinery.ModuleSpec(package, None, is_package=True)
    _finder.loads[package] = neighbours
    sys.modules[package] = parent
    name = f"{package}.{path.stem.replace('.', '_')}"
    # By its path and not by its name: a script may be called policy-2.py.
    loader = _SourceLoader(name, str(path), neighbours)
    spec = importlib.machinery.ModuleSpec(name, loader, origin=str(path))
    spec.has_location = True
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except KeyboardInterrupt:
        _forget(package)
        raise
    except BaseException as error:  # SystemExit too: a script does not stop the server
        _forget(package)
        raise _refusal(error, path) from error
    return module


def _forget(package: str) -> None:
    _finder.loads.pop(package, None)
    for name in [n for n in sys.modules if n == package or n.startswith(f"{package}.")]:
        del sys.modules[name]


def script_line(error: BaseException) -> tuple[Path, int] | None:
    """The innermost line of a script, or of a neighbour of it, that *error* came through."""
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__", "")).startswith(_MODULE_PREFIX):
            found = (Path(frame.f_code.co_filename), line)
    return found


def _refusal(error: BaseException, path: Path) -> ScriptError:
    """Where and why, in one line."""
    name = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename is not None:
        return ScriptError(f"{name}: {error.msg}", file=Path(error.filename), line=error.lineno)
    what = " ".join(str(error).split())
    file, line = script_line(error) or (path, None)
    return ScriptError(f"{name}: {what}" if what else name, file=file, line=line)


# ---- looking at the hooks ------------------------------------------------------------------------------------------


def _hooks_of(module: ModuleType, path: Path) -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {}
    for name, arguments in HOOKS.items():
        hook = vars(module).get(name)
        if hook is None:
            continue
        line = _line_of(hook)
        if not callable(hook) or isinstance(hook, type | ModuleType):
            raise ScriptError(f"{name} is the name of a hook and must be a function", file=path, line=line)
        if inspect.isgeneratorfunction(hook) or inspect.isasyncgenfunction(hook):
            raise ScriptError(f"{name}() is a generator; a hook returns its verdict", file=path, line=line)
        try:
            _argument_count(hook, arguments)
        except TypeError:
            wanted = ", ".join(arguments)
            raise ScriptError(
                f"{name}{_signature_of(hook)} cannot be called as {name}({wanted})", file=path, line=line
            ) from None
        found[name] = hook
    return found


def _argument_count(hook: Callable[..., Any], arguments: tuple[str, ...]) -> int:
    """With how many arguments to call it: all, where it takes them; TypeError where it can be called with none."""
    try:
        signature = inspect.signature(hook)
    except ValueError:  # a C function does not say; it will at the first call
        return len(arguments)
    needed = sum(not argument.startswith("[") for argument in arguments)
    for count in range(len(arguments), needed - 1, -1):
        try:
            signature.bind(*arguments[:count])
        except TypeError:
            continue
        return count
    raise TypeError("no number of arguments fits")


def _warnings_for(module: ModuleType, path: Path) -> list[str]:
    """Functions whose name looks like a hook's and that nobody calls: the hook that never ran."""
    own = {
        name: function
        for name, function in vars(module).items()
        if isinstance(function, FunctionType) and function.__module__ == module.__name__
    }
    called = {name for function in own.values() for name in _names_in(function.__code__)}
    warnings = []
    for name, function in own.items():
        if name in HOOKS or name.startswith("_") or name in called:
            continue
        meant = _meant(name)
        if meant is not None:
            line = function.__code__.co_firstlineno
            warnings.append(f"{path}:{line}: {name}() is not a hook and is never called; is {meant}() meant?")
    return warnings


def _meant(name: str) -> str | None:
    plain = name.lower().removeprefix("on_").removeprefix("handle_").removesuffix("_hook")
    if plain in HOOKS:
        return plain
    if plain in _OTHER_NAMES:
        return _OTHER_NAMES[plain]
    close = difflib.get_close_matches(plain, HOOKS, n=1, cutoff=0.8)
    return close[0] if close else None


def _names_in(code: CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names_in(constant)
    return names


def _line_of(hook: object) -> int | None:
    code = getattr(inspect.unwrap(hook) if callable(hook) else hook, "__code__", None)
    return code.co_firstlineno if isinstance(code, CodeType) else None


def _signature_of(hook: Callable[..., Any]) -> str:
    """The arguments as the script has them, without annotations, which would make the line long."""
    parameters = [p.replace(annotation=p.empty) for p in inspect.signature(hook).parameters.values()]
    return str(inspect.Signature(parameters))
