"""Data sets by one call: `load("brain")`, `load("isic2016")`, a folder with labels.csv, a MedMNIST .npz."""

import difflib
import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from novkit.data.cache import cached
from novkit.data.dataset import ImageDataset
from novkit.data.prepare import load_prepared, prepared_names, recipes
from novkit.errors import DataError, SettingsError

__all__ = ["NAMES", "ImageDataset", "load"]

_GENERATED = {"brain": "generate_brain", "skin": "generate_skin"}
NAMES = ("brain", "skin", "digits")
"""The data sets that are always there."""


def load(name_or_path: str | Path, *, progress: bool = True, **options: Any) -> ImageDataset:
    """Load a data set by its name or its path.

    "brain", "skin": generated images; options `seed`, `size` and those of `generate_brain` and `generate_skin`.
    "digits": scikit-learn's handwritten digits; option `size`.
    "isic2016", "brats2019" and the others of `novkit data list`: prepared before by `novkit data prepare NAME`; options `normal`, `where`,
    `masks` and those they were prepared with, such as `size`.
    A folder with labels.csv (`path,label,group,mask`): options `size`, `channels`, `normal`, `where`, `masks`, `cache`.
    A MedMNIST .npz, or a folder that holds one and no labels.csv: options `normal`, `class_names`, `where`.
    Raises DataError for an unknown name or unusable files, SettingsError for an unknown option.

    >>> digits = load("digits")
    >>> digits.images.shape, digits.normal, sorted(set(digits.labels))[:3]
    ((1797, 1, 32, 32), '0', ['0', '1', '2'])
    """
    name = str(name_or_path)
    options["progress"] = progress  # for those that take a while
    if name in _GENERATED:
        return _generated(name, options)
    if name == "digits":
        from novkit.data.digits import load_digits

        return _called(load_digits, name, options)()
    if isinstance(name_or_path, str) and (name in recipes() or name in prepared_names()):
        return load_prepared(name, **options)
    path = Path(name_or_path).expanduser()
    if path.is_dir() and not (path / "labels.csv").exists() and len(arrays := list(path.glob("*.npz"))) == 1:
        path = arrays[0]
    if path.is_dir():
        from novkit.data.folder import load_folder

        return _called(load_folder, name, options, path)()
    if path.is_file() and path.suffix.lower() == ".npz":
        from novkit.data.medmnist import load_medmnist

        return _called(load_medmnist, name, options, path)()
    if path.exists():
        raise DataError(f"{path} is neither a folder with labels.csv nor a MedMNIST .npz: give one of these.")
    near = difflib.get_close_matches(name.lower(), (*NAMES, *recipes(), *prepared_names()), n=1)
    raise DataError(
        f"There is no data set {name!r}{f', did you mean {near[0]!r}' if near else ''}: "
        f"use {', '.join(NAMES)}, another name of `novkit data list`, a folder with labels.csv, or a MedMNIST .npz."
    )


def _generated(name: str, options: dict[str, Any]) -> ImageDataset:
    """Generate, or take from the cache what the same options generated before."""
    module = importlib.import_module(f"novkit.data.{name}")
    make = _called(getattr(module, _GENERATED[name]), name, options)
    key = {option: repr(value) for option, value in make.arguments.items() if option != "progress"}
    return cached(name, {**key, "fingerprint": module.FINGERPRINT}, make)


class _called:
    """A call with its options checked and its defaults filled in, to be made later."""

    def __init__(self, function: Callable[..., ImageDataset], name: str, options: dict[str, Any], *args: Any) -> None:
        signature = inspect.signature(function)
        unknown = options.keys() - signature.parameters.keys() - {"progress"}
        if unknown:
            possible = [option for option in signature.parameters if signature.parameters[option].kind == inspect.Parameter.KEYWORD_ONLY]
            raise SettingsError(f"{name} has no option {min(unknown)!r}: its options are {', '.join(possible)}.")
        bound = signature.bind(*args, **{option: value for option, value in options.items() if option in signature.parameters})
        bound.apply_defaults()
        self.function, self.bound = function, bound
        self.arguments = dict(bound.arguments)

    def __call__(self) -> ImageDataset:
        return self.function(*self.bound.args, **self.bound.kwargs)
