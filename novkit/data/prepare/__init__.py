"""Preparing public data sets: fetch or take the files, verify them, and store images, table and manifest once and for all.

Each module of this package describes one data set, or several of one kind, as `RECIPES`; adding a data set means adding a module. The files
lie in ROOT/NAME/raw, the result in ROOT/NAME/size=…; ROOT is the folder named by NOVKIT_DATA, else `data` in the cache folder.
"""

import hashlib
import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from novkit.data.archives import is_archive, unpack
from novkit.data.cache import cache_folder
from novkit.data.dataset import ImageDataset
from novkit.data.downloads import Download, fetch
from novkit.data.store import Sample, file_entry, open_store, verify_store, write_store
from novkit.data.tables import choose_normal, select_rows
from novkit.data.untrusted import is_file
from novkit.errors import DataError, NovkitError, SettingsError, StoredFileError
from novkit.files import files_under, read_json, remove


class Files:
    """The files a recipe looks through: the raw folder, and what its archives held."""

    def __init__(self, *roots: Path) -> None:
        self.roots = roots

    def find(self, pattern: str) -> list[Path]:
        """All files whose name fits `pattern`, in any depth, sorted by their path below their root; hidden and __MACOSX ones left out."""
        files = [file for root in reversed(self.roots) for file in files_under(root) if fnmatch(file.name, pattern) and is_file(file)]
        found = {self.relative(file): file for file in files}
        return [file for path, file in sorted(found.items()) if not any(part.startswith((".", "__MACOSX")) for part in Path(path).parts)]

    def relative(self, file: Path) -> str:
        """The path of a file below its root, with forward slashes: what the table keeps as `path`."""
        root = next(root for root in self.roots if file.is_relative_to(root))
        return file.relative_to(root).as_posix()


@dataclass(frozen=True)
class Collection:
    """What a recipe found.

    table: one row an image with id (unique), label, group, path (of the original) and what else is known.
    samples: the images in the order of the rows, made one by one as they are asked for.
    counted: how many there are of what `Recipe.complete` counts, to see whether the download is whole.
    """

    table: pd.DataFrame
    samples: Iterable[Sample]
    counted: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one data set is prepared.

    title: what it is, for `novkit data list`. needs: what to download and where, as one sentence; {raw} stands for the raw folder.
    collect: (files, **options) -> Collection, or None where the files are not there. options: those of `collect`, with their defaults.
    downloads: (options) -> the files that can be fetched without an account. archives: patterns of the names of archives to unpack.
    complete: how many of what the published set holds. normal: the class that is normal by default. stamp: changes with files that may.
    groups: what a group is. source, licence: one sentence each.
    """

    name: str
    title: str
    needs: str
    collect: Callable[..., Collection | None]
    source: str
    licence: str
    groups: str
    normal: str
    options: dict[str, Any] = field(default_factory=lambda: {"size": 256})
    downloads: Callable[[dict[str, Any]], tuple[Download, ...]] = lambda options: ()
    archives: tuple[str, ...] = ()
    complete: dict[str, int] = field(default_factory=dict)
    stamp: str = ""

    def filled(self, options: dict[str, Any]) -> dict[str, Any]:
        """The options with their defaults; SettingsError for one there is not, or a size that cannot be."""
        for option in options.keys() - self.options.keys():
            raise SettingsError(f"{self.name} has no option {option!r}: its options are {', '.join(self.options)}.")
        filled = self.options | options
        size = filled.get("size")
        if size is not None and not (isinstance(size, int) and 4 <= size <= 4096):
            raise SettingsError(f"size is {size!r}: choose a side from 4 to 4096 pixels.")
        return filled


@cache
def recipes() -> dict[str, Recipe]:
    """All recipes by name, from the modules of this package."""
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    return {recipe.name: recipe for module in modules for recipe in module.RECIPES}


def data_folder() -> Path:
    """ROOT: the folder named by NOVKIT_DATA, else `data` in the cache folder."""
    named = os.environ.get("NOVKIT_DATA")
    return Path(named).expanduser() if named else cache_folder() / "data"


def prepare(
    name: str,
    *,
    source: str | Path | None = None,
    verified: bool = True,
    progress: bool = True,
    recipe: Recipe | None = None,
    **options: Any,
) -> ImageDataset:
    """Prepare a data set, unless it is prepared already, and open it.

    source: a folder or an archive that holds the files, instead of ROOT/NAME/raw. verified: False goes on with files that are not the
    published ones, such as a part of them; the manifest says so. recipe: one that is not among `recipes()`. options: the recipe's, such
    as size.
    Two calls at once do the work once. Raises DataError saying what to download and where to put it, or what is wrong with it.
    """
    recipe = recipe or recipe_named(name)
    options = recipe.filled(options)
    home = data_folder() / name
    target = home / _folder_name(options)
    if (stored := _stored(target, recipe, options)) is not None:
        return stored
    with _alone(home, progress):
        if (stored := _stored(target, recipe, options)) is not None:
            return stored  # another process has prepared it meanwhile
        files, sources = _gather(recipe, options, home, source, verified, progress)
        collection = recipe.collect(files, **options)
        if collection is None:
            raise DataError(f"{source or home / 'raw'} does not hold {name}: {recipe.needs.format(raw=home / 'raw')}")
        for what, expected in recipe.complete.items():
            if verified and collection.counted.get(what, expected) != expected:
                raise DataError(
                    f"{source or home / 'raw'} holds {collection.counted[what]} of {name}'s {expected} ({what}): complete the download, or "
                    "prepare with --unverified to go on with what there is."
                )
        described: dict[str, Any] = {"name": name, "source": recipe.source, "licence": recipe.licence}
        described["normal"] = _normal(collection.table["label"].to_numpy(), None, recipe.normal, name)
        described["extra"] = {"groups": recipe.groups, "verified": verified}
        made_of = {"options": options, "stamp": recipe.stamp, "sources": sources}
        write_store(target, collection.table, collection.samples, described, made_of=made_of, progress=progress)
    return open_store(target)


def recipe_named(name: str) -> Recipe:
    """The recipe of a data set; DataError where there is none."""
    if name not in recipes():
        raise DataError(f"There is no recipe for {name!r}: choose one of {', '.join(recipes())}, or give a folder with labels.csv.")
    return recipes()[name]


def prepared(name: str) -> dict[Path, dict[str, Any]]:
    """The prepared versions of a data set: their folders, with the options they were made with."""
    found = {}
    for manifest in sorted((data_folder() / name).glob("*/manifest.json")):
        try:
            found[manifest.parent] = dict(read_json(manifest, "manifest")["options"])
        except (NovkitError, KeyError, TypeError, ValueError):
            continue  # damaged: as if it were not there
    return found


def prepared_names() -> list[str]:
    """The names of all data sets that have a prepared version."""
    return sorted(folder.name for folder in data_folder().glob("*") if prepared(folder.name))


def load_prepared(
    name: str, *, normal: str | None = None, where: str | None = None, masks: bool = True, progress: bool = True, **options: Any
) -> ImageDataset:
    """Open a prepared data set, memory-mapped; nothing is read or prepared here, however large it is.

    normal, where, masks: as for a folder; `where` copies the chosen images into memory. options: those it was prepared with; where several
    prepared versions fit, the one with the defaults. Raises DataError with the command that prepares it where it is not prepared,
    SettingsError for an option it does not have.
    """
    recipe, versions = recipes().get(name), prepared(name)
    known = sorted(set(recipe.options) if recipe else {option for version in versions.values() for option in version})
    for option in sorted(options.keys() - set(known)):
        raise SettingsError(f"{name} has no option {option!r}: its options are {', '.join([*known, 'normal', 'where', 'masks'])}.")
    fitting = [folder for folder, made in versions.items() if options.items() <= made.items()]
    if len(fitting) > 1 and recipe:
        fitting = [folder for folder in fitting if versions[folder] == recipe.options | options] or fitting
    if not fitting:
        words = "".join(f" --size {value}" if key == "size" else f" --option {key}={value}" for key, value in options.items())
        here = f", or give the full path of the folder {name} that is here" if Path(name).exists() else ""
        raise DataError(f"{name} is not prepared{' with these options' * bool(versions)}: run `novkit data prepare {name}{words}`{here}.")
    if len(fitting) > 1:
        raise DataError(f"{name} is prepared as {' and '.join(folder.name for folder in fitting)}: name the options to choose one.")
    dataset = open_store(fitting[0])
    if where is not None:
        chosen = hashlib.sha256(f"{dataset.fingerprint} {where}".encode()).hexdigest()[:16]
        dataset = replace(dataset.subset(select_rows(dataset.table, where)), fingerprint=chosen)
    normal = _normal(dataset.labels, normal, dataset.normal, name)
    return replace(dataset, normal=normal, masks=dataset.masks if masks else None)


def verify(name: str) -> int:
    """Compare every prepared version of a data set with its manifest; returns how many there are. StoredFileError names a damaged file."""
    versions = prepared(name)
    for folder in versions:
        verify_store(folder)
    return len(versions)


def _normal(labels: np.ndarray, wanted: str | None, default: str, name: str) -> str:
    """The class asked for, else the recipe's where there is an image of it, else the usual choice."""
    return choose_normal(labels, wanted or (default if default in set(labels) else None), name)


def _folder_name(options: dict[str, Any]) -> str:
    words = (f"{key}={'original' if value is None else value}" for key, value in options.items())
    return ",".join("".join(letter if letter.isalnum() or letter in "=.-_" else "_" for letter in word) for word in words)


def _stored(target: Path, recipe: Recipe, options: dict[str, Any]) -> ImageDataset | None:
    """What is prepared already, of the same options and, for a folder of one's own, of the same files; a damaged one is none."""
    try:
        manifest = read_json(target / "manifest.json", "manifest")
        return open_store(target) if (manifest["options"], manifest["stamp"]) == (options, recipe.stamp) else None
    except (StoredFileError, KeyError, TypeError):
        return None


@contextmanager
def _alone(home: Path, progress: bool) -> Iterator[None]:
    """Hold the data set's lock: one process prepares, others wait and say so."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = FileLock(home / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if progress:
                print(f"Another process is preparing {home.name}: waiting for it.", file=sys.stderr, flush=True)
            lock.acquire()
    except OSError as error:
        raise StoredFileError(f"{home} cannot be written ({error.strerror or error}): name another folder with NOVKIT_DATA.") from error
    try:
        for left in (*home.glob(".*.tmp"), *home.glob(".*.old"), *home.glob("unpacked/.*.tmp")):
            remove(left)  # of a process that was killed, for nobody else is at work here
        yield
    finally:
        lock.release()


def _gather(
    recipe: Recipe, options: dict[str, Any], home: Path, source: str | Path | None, verified: bool, progress: bool
) -> tuple[Files, dict[str, Any]]:
    """The files to look through: what was downloaded or given, and what its archives hold; with the hashes of both."""
    raw = home / "raw" if source is None else Path(source).expanduser()
    if source is None:
        raw.mkdir(parents=True, exist_ok=True)
    elif not raw.exists():
        raise DataError(f"There is no {raw}: give the folder or the archive that holds {recipe.name}.")
    if raw.is_file() and not is_archive(raw):
        raw = raw.parent
    sources: dict[str, Any] = {}
    if raw.is_dir():
        for download in recipe.downloads(options):
            if source is None or (raw / download.file).is_file():
                sources[download.file] = file_entry(fetch(download, raw, progress=progress, verified=verified))
    found = Files(raw)
    archives = [raw] if is_archive(raw) else [file for pattern in recipe.archives for file in found.find(pattern) if is_archive(file)]
    folders = []
    for archive in archives:
        entry = sources[archive.name] = file_entry(archive)
        folders.append(home / "unpacked" / f"{archive.name}-{entry['sha256'][:12]}")
        if not folders[-1].is_dir():
            unpack(archive, folders[-1], progress=progress)
    return Files(raw, *folders), sources
