"""The commands of a teacher: `novkit grade`, `novkit leaderboard`, `novkit course update`."""

from pathlib import Path
from typing import Annotated

import typer

from novkit.errors import DataError, SettingsError

course_app = typer.Typer(help="A course that is built on novkit's assignments.", no_args_is_help=True)

Source = Annotated[Path | None, typer.Option(help="Source notebook, or the folder of them; default: novkit's own assignments.")]
Assignment = Annotated[str | None, typer.Option(help="Its name, such as a1_splits_and_metrics, where it is not clear.")]
CourseSeed = Annotated[int, typer.Option(min=0, help="What the tests draw their inputs from: choose your own, and keep it to yourself.")]
Names = Annotated[Path | None, typer.Option(help="CSV with columns file, student: whose file is whose.")]
Workers = Annotated[int, typer.Option(min=1, help="Submissions at once.")]


def register(app: typer.Typer) -> None:
    """Add the commands to novkit's own."""
    app.command()(grade)
    app.command()(leaderboard)
    app.add_typer(course_app, name="course")


def grade(
    path: Annotated[Path, typer.Argument(help="A notebook, or a folder of notebooks.")],
    out: Annotated[Path | None, typer.Option(help="Where grades.csv and feedback pages go; default for a folder: FOLDER-graded.")] = None,
    source: Source = None,
    assignment: Assignment = None,
    course_seed: CourseSeed = 0,
    names: Names = None,
    manual: Annotated[Path | None, typer.Option(help="CSV with columns student, part, points, comment: for written answers.")] = None,
    part: Annotated[list[str] | None, typer.Option(help="Grade only this part, again; repeat for several.")] = None,
    workers: Workers = 2,
    cell_seconds: Annotated[float, typer.Option(min=1, help="CPU seconds that one cell may take.")] = 60,
    notebook_seconds: Annotated[float, typer.Option(min=1, help="CPU seconds that one submission may take.")] = 180,
    memory: Annotated[float, typer.Option(min=1, help="GB that one submission may take.")] = 4,
) -> None:
    """Grade a submission, or a folder of them. What is graded already is skipped; a stopped run goes on.\f

    Raises DataError where nothing is there, SettingsError for options that only a folder takes.
    """
    from novkit.teaching.folder import grade_folder, grade_one
    from novkit.teaching.process import Limits

    limits = Limits(cell=cell_seconds, notebook=notebook_seconds, memory=int(memory * 2**30))
    if path.is_dir():
        where = out or path.resolve().with_name(f"{path.resolve().name}-graded")
        grade_folder(
            path,
            where,
            source=source,
            assignment=assignment,
            names=names,
            manual=manual,
            parts=part or (),
            course_seed=course_seed,
            limits=limits,
            workers=workers,
        )
        return
    if not path.is_file():
        raise DataError(f"There is no {path}: give a notebook, or a folder of notebooks.")
    if names is not None or manual is not None:
        raise SettingsError("--names and --manual are for a folder of submissions.")
    grade_one(path, out=out, source=source, assignment=assignment, parts=part or (), course_seed=course_seed, limits=limits)


def leaderboard(
    folder: Annotated[Path, typer.Argument(help="The folder of submissions of the project.")],
    teacher_file: Annotated[Path, typer.Option(help="JSON: seed, condition, numbers of images, limits. Keep it outside the repository.")],
    out: Annotated[Path, typer.Option(help="Folder for leaderboard.csv and leaderboard.html.")] = Path("leaderboard"),
    names: Names = None,
    source: Source = None,
    workers: Workers = 2,
) -> None:
    """Train every student's detector within the budget, and rank them on a condition that the class has not seen."""
    from novkit.teaching.leaderboard import make_leaderboard

    make_leaderboard(folder, teacher_file, out, names=names, source=source, workers=workers)


@course_app.command()
def update(
    pinned: Annotated[Path, typer.Argument(help="The file that holds what your course was built on; made if there is none.")] = Path(
        "course.json"
    ),
    pin: Annotated[bool, typer.Option("--pin", help="Also take the assignments as they are now as what your course is built on.")] = False,
) -> None:
    """List what changed in the assignments since your course was built."""
    from novkit.teaching.updates import changes, current_manifest, read_manifest, write_manifest

    now = current_manifest()
    if not pinned.exists():
        write_manifest(pinned, now)
        print(f"{pinned} now holds the assignments of novkit {now['novkit']}. Run this again after an update of novkit.")
        return
    before = read_manifest(pinned)
    lines = changes(before, now)
    print("\n".join(lines) or "Nothing changed.")
    print(f"(pinned: novkit {before['novkit']}; here: novkit {now['novkit']})")
    if pin:
        write_manifest(pinned, now)
        print(f"{pinned} now holds the assignments as they are.")
