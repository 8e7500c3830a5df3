"""The command line: `novkit --help` lists its commands; those for courses are in novkit.teaching.commands."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from novkit.errors import NovkitError, SettingsError
from novkit.files import printable
from novkit.teaching.commands import register as register_teaching

# --help shows a command's docstring up to its \f
app = typer.Typer(help="Novelty detection in medical images, taught and reproduced.", no_args_is_help=True, add_completion=False)
data_app = typer.Typer(help="Data sets: what there is, what is in one, and getting one ready.", no_args_is_help=True)
app.add_typer(data_app, name="data")
notebooks_app = typer.Typer(help="The notebooks: a working copy of your own.", no_args_is_help=True)
app.add_typer(notebooks_app, name="notebooks")
register_teaching(app)


class Profile(StrEnum):
    """Settings by purpose."""

    quick = "quick"
    paper = "paper"


Device = Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu, cuda or mps.")]
Labels = Annotated[list[str] | None, typer.Option(help="Normal class; repeat the option for several.")]
Size = Annotated[int | None, typer.Option(help="Side in pixels that images are resized to.")]
Where = Annotated[str | None, typer.Option(help='Keep only rows of labels.csv for which this holds, e.g. "age > 40".')]
Seed = Annotated[int, typer.Option(min=0)]
Options = Annotated[list[str] | None, typer.Option("--option", help="Another option of the data set: name=value; repeat for several.")]
Settings = Annotated[list[str] | None, typer.Option("--setting", help="Change a setting: name=value; repeat for several.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Runs at once on a CPU, one thread each; default: one per core.")]


def main() -> None:
    """Run the command line; an error a user can mend is one sentence, without a traceback."""
    try:
        app()
    except SystemExit as ended:
        if ended.code == _INTERRUPTED:
            print("Stopped. Run the same command again to continue from the last checkpoint.", file=sys.stderr)
        raise
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        print(f"Error: {printable(sentence)}", file=sys.stderr)
        sys.exit(1)


_INTERRUPTED = 130  # what typer makes of Ctrl-C


def _sentence(error: Exception) -> str | None:
    """What a user can do about an error; None for a defect of ours."""
    if isinstance(error, NovkitError):
        return str(error)
    if isinstance(error, OSError):  # one that nobody expected there
        what = error.filename if isinstance(error.filename, str) else "A file"
        return (
            f"{what} could not be read or written ({error.strerror or error}): check that it is there, its permissions and the free space."
        )
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error):
        return "Out of memory: choose a smaller --size or batch_size, or --device cpu if it was the GPU's."
    return None


def _say(text: str) -> None:
    """Print lines in which names of others, which can hold terminal codes, stand."""
    print(printable(text, keep="\n\t"))


@app.command()
def reproduce(
    seeds: Annotated[int, typer.Option(min=1, max=10, help="How many reserved seeds.")] = 1,
    profile: Annotated[
        Profile,
        typer.Option(
            help="quick: short training; paper: published widths and lengths where known, for a GPU. Built-in data are made at 64×64 or "
            "256×256; --data keeps its --size."
        ),
    ] = Profile.quick,
    data: Annotated[
        Path | None, typer.Option(help="Your images instead: a folder with labels.csv, a MedMNIST .npz, or a name of `novkit data list`.")
    ] = None,
    normal: Labels = None,
    novel: Annotated[
        list[str] | None, typer.Option(help="Novel class; repeat for several. Without --normal, all other classes are normal.")
    ] = None,
    size: Size = None,
    where: Where = None,
    option: Options = None,
    method: Annotated[list[str] | None, typer.Option(help="Only this method; repeat for several.")] = None,
    setting: Settings = None,
    out: Annotated[Path | None, typer.Option(help="Results folder; default results/PROFILE, or results/NAME-PROFILE with --data.")] = None,
    device: Device = "auto",
    workers: Workers = None,
) -> None:
    """Train, score and report. Finished runs are skipped; an interrupted run resumes.\f

    Raises SettingsError for options that do not go together.
    """
    from dataclasses import replace

    from novkit import experiments
    from novkit.methods import read_settings
    from novkit.report import write_report
    from novkit.seeding import RESERVED_SEEDS

    used = RESERVED_SEEDS[:seeds]
    methods = method or experiments.REPRODUCED
    if data is None:
        if normal or novel or size or where or option:
            raise SettingsError("--normal, --novel, --size, --where and --option describe your own images: give --data too.")
        jobs = experiments.reproduction(profile.value, used, methods)
        folder = out or Path("results") / profile.value
    else:
        if not novel:
            raise SettingsError("--data needs to know which classes are novel: name them with --novel.")
        chosen = read_settings(option or [])
        options = {name: value for name, value in (("size", size), ("where", where)) if value is not None} | chosen
        jobs = experiments.reproduction_on(
            data,
            normal or (),
            novel,
            profile=profile.value,
            seeds=used,
            methods=methods,
            options=options,
            data_note=experiments.settings_text(chosen),
        )
        folder = out or Path("results") / f"{data.stem}-{profile.value}"
    if setting:
        if not method:
            raise SettingsError("--setting changes a method's settings: name the method with --method.")
        changes = read_settings(setting)
        jobs = [replace(job, changes=changes, variant=experiments.settings_text(changes)) for job in jobs]
    records = experiments.run_jobs(jobs, folder, device=device, workers=workers)
    page = write_report(folder)
    _say(_table(records))
    _say(f"\nresults: {folder / 'results.json'}\nreport:  {page}")


@app.command()
def ablate(
    method: Annotated[str, typer.Argument(help="patchgan.")] = "patchgan",
    seeds: Annotated[int, typer.Option(min=1, max=10, help="How many reserved seeds.")] = 3,
    images: Annotated[int, typer.Option(min=400, help="Healthy brain slices to make, three fifths of them for training.")] = 1600,
    out: Annotated[Path, typer.Option(help="Results folder.")] = Path("results/ablation"),
    device: Device = "auto",
    workers: Workers = None,
) -> None:
    """Change one choice of a method at a time and measure what it is worth. Finished runs are skipped."""
    from novkit.experiments.ablation import ablation_jobs
    from novkit.experiments.running import run_jobs
    from novkit.report.ablation import ablation_markdown, write_ablation
    from novkit.seeding import RESERVED_SEEDS

    run_jobs(ablation_jobs(method, RESERVED_SEEDS[:seeds], n_healthy=images), out, device=device, workers=workers)
    page = write_ablation(out, f"novkit ablate {method} --seeds {seeds} --images {images}")
    _say(ablation_markdown(out))
    _say(f"\nresults: {out / 'results.json'}\npage:    {page}")


@app.command()
def train(
    method: Annotated[str, typer.Argument(help="Method id, such as tend or autoencoder.")],
    out: Annotated[Path, typer.Option(help="Folder for the fitted detector.")],
    data: Annotated[str, typer.Option(help="A name of `novkit data list`, a folder with labels.csv or a MedMNIST .npz.")] = "brain",
    normal: Labels = None,
    size: Size = None,
    where: Where = None,
    profile: Profile = Profile.quick,
    seed: Seed = 0,
    setting: Settings = None,
    device: Device = "auto",
) -> None:
    """Fit a detector on the normal images of a data set and save it. Killed and started again, it goes on.

    Several processes, started by `accelerate launch -m novkit train …`, share every batch; the first of them saves.
    """
    from contextlib import nullcontext

    import numpy as np

    from novkit.data.splits import split_by_group
    from novkit.devices import is_main_process
    from novkit.files import alone
    from novkit.methods import make_detector, read_settings
    from novkit.processes import leave

    dataset = _load(data, size, where, seed)
    split = split_by_group(dataset, normal or [dataset.normal], seed=seed)
    workdir = out.with_name(f".{out.name}-checkpoints")
    changes = read_settings(setting or [])
    detector = make_detector(method, profile.value, changes=changes, seed=seed, device=device, workdir=workdir)
    images = dataset.images
    with alone(workdir, "run") if is_main_process() else nullcontext():
        parts = (np.asarray(images[part]) for part in (split.train, split.calibration, split.threshold))
        detector.fit(next(parts), next(parts), X_threshold=next(parts))
        leave()
        if not is_main_process():
            return
        detector.save(out)
        detector.discard_checkpoints()
    _say(f"{method} fitted on {len(split.train)} normal images of {dataset.name}; saved in {out}")


@app.command()
def score(
    detector: Annotated[Path, typer.Argument(help="Folder of a saved detector.")],
    images: Annotated[Path, typer.Argument(help="Folder of images, searched with its subfolders.")],
    out: Annotated[Path, typer.Option(help="CSV file with one row per image.")] = Path("scores.csv"),
    maps: Annotated[Path | None, typer.Option(help="Folder for novelty maps: one float32 TIFF per image.")] = None,
    device: Device = "auto",
) -> None:
    """Score a folder of images: a CSV with path, score, threshold, novel and the parts of the score; --maps adds novelty maps."""
    from novkit.scoring import score_folder

    n, n_novel = score_folder(detector, images, out, maps=maps, device=device)
    _say(f"{n} images scored, {n_novel} above the threshold; written to {out}" + (f", maps in {maps}" if maps else ""))


@app.command()
def doctor() -> None:
    """Report installed versions, the device, and which data are ready."""
    from novkit.doctor import report

    text, well = report()
    _say(text)
    if not well:
        raise typer.Exit(1)


@app.command(name="report")
def report_command(
    folder: Annotated[Path, typer.Argument(help="Results folder.")] = Path("results/quick"),
    markdown: Annotated[Path | None, typer.Option(help="Instead, renew the table between the markers of this Markdown page.")] = None,
    table: Annotated[str, typer.Option(help="Which table: results, details, overview or variants.")] = "results",
    block: Annotated[str, typer.Option(help="The markers' name: between <!-- NAME:begin --> and <!-- NAME:end -->.")] = "results",
    command: Annotated[str | None, typer.Option(help="The command to print below, where these results have one of their own.")] = None,
) -> None:
    """Write report.html from the results of a folder."""
    from novkit.report import write_report
    from novkit.report.markdown import update_page
    from novkit.report.parts import command_text
    from novkit.results import load_results

    if markdown is None:
        _say(f"report: {write_report(folder)}")
    else:
        remake = command or command_text(load_results(folder))
        _say(f"table: {update_page(folder, markdown, remake, table=table, block=block)}")


@data_app.command(name="list")
def list_data() -> None:
    """The data sets that are always there, those that can be prepared, and how to bring your own."""
    from novkit.data.prepare import prepared, prepared_names, recipes

    _say("always there")
    _say("  brain               synthetic MRI slices from the ICBM 152 template: healthy, and five conditions with masks")
    _say("  skin                synthetic dermoscopy-like images: benign and atypical")
    _say("  digits              scikit-learn's 8×8 handwritten digits: real, ten classes")
    _say("to be prepared once: novkit data prepare NAME")
    titles = {name: recipe.title for name, recipe in recipes().items()}
    for name, title in {**titles, **{name: "a folder of yours" for name in prepared_names() if name not in titles}}.items():
        versions = " and ".join(folder.name for folder in prepared(name))
        _say(f"  {name:<19} {title} [{f'prepared: {versions}' if versions else 'not prepared'}]")
    _say("your own")
    _say("  FOLDER              images listed in FOLDER/labels.csv (path,label,group,mask)")
    _say("  X.npz               any 2-D set of MedMNIST")


@data_app.command()
def show(
    name: Annotated[str, typer.Argument(help="A name of `novkit data list`, a folder or an .npz.")],
    size: Size = None,
    where: Where = None,
    seed: Seed = 0,
    option: Options = None,
    sheet: Annotated[Path | None, typer.Option(help="Also write a contact sheet, as PNG.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Also compare the files of a prepared set with the hashes of its manifest.")
    ] = False,
) -> None:
    """Counts, sizes, source and licence of a data set."""
    dataset = _load(name, size, where, seed, option)
    channels, height, width = dataset.image_shape
    pixels = f"{channels}×{height}×{width} {dataset.images.dtype}"
    _say(f"{printable(dataset.name)}: {len(dataset)} images, {pixels}{', synthetic' * dataset.synthetic}")
    counts = dataset.table.groupby("label").agg(images=("id", "size"), groups=("group", "nunique"))
    for label, row in counts.iterrows():
        _say(f"  {printable(str(label)):<14} {row['images']:>6} images in {row['groups']} groups{'  (normal)' * (label == dataset.normal)}")
    for what in ("source", "licence", "fingerprint"):
        _say(f"{what}: {printable(str(getattr(dataset, what)))}")
    if sheet is not None:
        from novkit.figures.sheets import write_contact_sheet

        _say(f"contact sheet: {write_contact_sheet(dataset, sheet)}")
    if verify:
        from novkit.data.prepare import verify as verify_prepared

        _say(f"prepared versions whose files are what was prepared: {verify_prepared(name)}")


@data_app.command()
def prepare(
    name: Annotated[str, typer.Argument(help="A name of `novkit data list`, a folder or an .npz.")],
    size: Size = None,
    where: Where = None,
    seed: Seed = 0,
    option: Options = None,
    source: Annotated[Path | None, typer.Option("--from", help="Folder or archive that holds the files, if they lie elsewhere.")] = None,
    name_as: Annotated[str | None, typer.Option("--name", help="For a folder: store it as a data set of this name.")] = None,
    unverified: Annotated[
        bool, typer.Option("--unverified", help="Go on with files that are not, or not all, the published ones.")
    ] = False,
) -> None:
    """Get a data set ready, so that it opens at once later; what is ready already is left as it is.\f

    Raises SettingsError for options that this kind of data set does not take.
    """
    from novkit.data.prepare import prepare as prepare_set
    from novkit.data.prepare import recipes
    from novkit.data.prepare.folder import folder_recipe
    from novkit.methods import read_settings

    recipe = recipes().get(name) if name_as is None else folder_recipe(name, name_as)
    if recipe is None:  # generated, or a folder or file that is read into the cache
        if source is not None or unverified:
            raise SettingsError(f"--from and --unverified are for the sets that novkit prepares by name, {name} is none of them.")
        dataset = _load(name, size, where, seed, option)
    else:
        if where is not None:
            raise SettingsError("--where is for loading: a data set is prepared whole.")
        options = read_settings(option or []) | ({} if size is None else {"size": size})
        where_from = Path(name) if name_as is not None else source
        dataset = prepare_set(recipe.name, source=where_from, verified=not unverified, recipe=recipe, **options)
    counts = ", ".join(f"{printable(str(label))} {count}" for label, count in dataset.table["label"].value_counts(sort=False).items())
    _say(f"{printable(dataset.name)} is ready: {len(dataset)} images ({counts}), fingerprint {dataset.fingerprint}")


@notebooks_app.command()
def copy(folder: Annotated[Path, typer.Argument(help="Folder to copy them to; made if there is none.")]) -> None:
    """Copy the notebooks to a folder; a file you have changed is never overwritten."""
    from novkit.notebooks import copy_notebooks

    copy_notebooks(folder)


def _load(name: str, size: int | None, where: str | None, seed: int, option: list[str] | None = None) -> Any:
    from novkit.data import load
    from novkit.methods import read_settings

    options: dict[str, Any] = {key: value for key, value in (("size", size), ("where", where)) if value is not None}
    options |= read_settings(option or [])
    if name in ("brain", "skin"):
        options["seed"] = seed
    return load(name, **options)


def _table(records: list[Any]) -> str:
    """AUROC by case and method, mean over seeds."""
    from novkit.results import summary

    rows = [["data set", "set-up", "case", "method", "AUROC"]]
    for row in summary(records).to_dict("records"):
        spread = f" ± {row['auroc_sd']:.3f}" if row["n_runs"] > 1 else ""
        note = f"  ({row['note']})" if row["note"] else ""
        words = [printable(row[name]) for name in ("dataset", "setup", "case", "display_name")]
        rows.append([*(word if len(word) <= 60 else word[:59] + "…" for word in words), f"{row['auroc_mean']:.3f}{spread}{note}"])
    widths = [max(len(row[column]) for row in rows) for column in range(4)] + [0]
    return "\n".join("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)) for row in rows)
