"""Whether what the tests rely on is still what it was: functions of libraries that a submission may have put its own in place of."""

import importlib
import sys
from collections.abc import Iterable
from typing import Any

WATCHED = ("builtins", "math", "sys", "os", "random", "time", "inspect", "numpy", "scipy", "sklearn", "pandas", "novkit")
TORCH = ("torch", "torch.nn.functional", "torch.testing", "torch.linalg")
CHANGES_ITSELF = {
    ("builtins", name) for name in ("exit", "quit", "get_ipython", "display", "_", "input", "print", "copyright", "credits", "license")
} | {("sys", name) for name in ("displayhook", "excepthook", "breakpointhook", "stdout", "stderr", "stdin", "last_exc", "unraisablehook")}


class Integrity:
    """A memory of every function, class and module in the libraries; what was replaced is named, and put back."""

    def __init__(self, modules: Iterable[str]) -> None:
        for name in modules:
            try:
                importlib.import_module(name)
            except Exception:  # the submission will meet it where it imports it itself
                continue
        self._kept: list[tuple[Any, str, str, Any]] = []
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] in WATCHED or name in TORCH:
                self._keep(module, name)

    def _keep(self, module: Any, name: str) -> None:
        for attribute, value in list(vars(module).items()):
            if callable(value) and (name, attribute) not in CHANGES_ITSELF:
                self._kept.append((module, name, attribute, value))
                if name.startswith("novkit") and isinstance(value, type) and value.__module__ == name:
                    methods = [(key, method) for key, method in vars(value).items() if callable(method) and not key.startswith("_abc")]
                    self._kept += [(value, f"{name}.{attribute}", key, method) for key, method in methods]

    def restore(self) -> list[str]:
        """Put back what was replaced or taken away; returns the names, "numpy.allclose"."""
        replaced = []
        for owner, name, attribute, value in self._kept:
            if owner.__dict__.get(attribute) is not value:
                replaced.append(f"{name}.{attribute}")
                try:
                    setattr(owner, attribute, value)
                except (AttributeError, TypeError):
                    continue
        return replaced
