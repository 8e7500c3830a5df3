"""Running jobs: what is done already is skipped, and CPU cores work side by side."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from novkit.cores import available_cores
from novkit.data.dataset import ImageDataset
from novkit.devices import pick_device
from novkit.errors import TrainingError
from novkit.experiments.jobs import Job, load_for
from novkit.experiments.measuring import finished, run_job
from novkit.experiments.plans import COSTLIEST
from novkit.experiments.sharing import heirs_of
from novkit.files import alone, remove
from novkit.progress import own_line
from novkit.results import Record, arrange_records


def run_jobs(
    jobs: Sequence[Job], folder: str | Path, *, device: str = "auto", workers: int | None = 1, progress: bool = True
) -> list[Record]:
    """Run every job whose records are not in `folder` yet; returns all records of these jobs. Killed runs resume.

    workers: processes that share the jobs on a CPU, each computing on one thread, so that results do not depend on the number of cores
    and small networks do not wait for each other's threads; None: one per core. 1 runs the jobs here, one after the other, as does
    every other device.
    A second call on the same folder, from another process, says so and waits.
    Raises TrainingError where a training failed, once all others are done, and where a worker died; what was done stays.
    """
    folder = Path(folder)
    pending = [job for job in jobs if not finished(job, folder, device, progress=progress)]
    if pending:
        with alone(folder / "work", "run"):
            if workers == 1 or pick_device(device).type != "cpu":
                _run_in_a_row(pending, folder, device, progress)
            else:
                _run_side_by_side(pending, folder, workers or available_cores(), progress)
    for job in jobs:
        remove(folder / "work" / job.name)  # where a run was killed when it was done but for this
    records = [record for job in jobs for record in finished(job, folder, device, progress=False)]
    if pending:
        arrange_records(folder, records)
    return records


def _run_in_a_row(jobs: Sequence[Job], folder: Path, device: str, progress: bool) -> None:
    datasets: dict[Any, ImageDataset] = {}
    failed: dict[str, TrainingError] = {}
    bar = tqdm(jobs, desc="Experiments", unit="run", disable=not progress, position=0)
    for number, job in enumerate(bar, start=1):
        bar.set_postfix_str(job.name)
        try:
            run_job(job, folder, device=device, progress=progress, datasets=datasets, heirs=heirs_of(job, jobs[number:]))
        except TrainingError as error:
            failed[job.name] = error
    _report(failed)


def _run_side_by_side(jobs: Sequence[Job], folder: Path, workers: int, progress: bool) -> None:
    """One task a worker at a time: each data set is made once, then come its jobs, data set by data set, the longest first."""
    makers = {job.data_key: job for job in reversed(jobs)}
    unmade = [makers[key] for key in dict.fromkeys(job.data_key for job in jobs)]
    order = {job.data_key: number for number, job in enumerate(unmade)}
    queue = sorted(jobs, key=lambda job: (order[job.data_key], COSTLIEST.index(job.method) if job.method in COSTLIEST else len(COSTLIEST)))
    made: set[tuple[str, str]] = set()
    context = multiprocessing.get_context("spawn")  # a forked process would inherit torch's threads half-made
    failed: dict[str, TrainingError] = {}
    lines, lock = context.Value("i", 0), context.RLock()
    tqdm.set_lock(lock)  # all draw on one screen
    line, mine = context.Pipe(duplex=False)  # to the workers; it is cut where this process ends, however it does
    bar = tqdm(total=len(queue), desc="Experiments", unit="run", disable=not progress, position=0)
    workers = min(workers, len(queue))
    with bar, mine, line, ProcessPoolExecutor(workers, context, _start_worker, (lines, lock, line)) as pool:
        busy: dict[Future, tuple[bool, Job]] = {}  # whether it makes its data set
        try:
            while unmade or queue or busy:
                while len(busy) < workers:
                    training = [job for makes, job in busy.values() if not makes]
                    waiting = {heir for giver in (*queue, *training) for heir in heirs_of(giver, queue)}
                    ready = next((job for job in queue if job.data_key in made and job.name not in waiting), None)
                    if unmade:  # the workers map it from the cache
                        job = unmade.pop(0)
                        busy[pool.submit(_make, job, progress)] = True, job
                    elif ready is not None:
                        queue.remove(ready)
                        busy[pool.submit(_work, ready, folder, progress, heirs_of(ready, queue))] = False, ready
                    else:
                        break
                for future in wait(busy, return_when=FIRST_COMPLETED).done:
                    making, job = busy.pop(future)
                    try:
                        future.result()
                    except TrainingError as error:
                        failed[job.name] = error
                    if making:
                        made.add(job.data_key)
                        continue
                    bar.set_postfix_str(f"{job.name} {'failed' if job.name in failed else 'done'}")
                    bar.update()
        except BrokenProcessPool as error:
            tqdm.set_lock(threading.RLock())  # the dead worker may have held the other
            raise TrainingError("A worker died, perhaps for want of memory: start again with --workers 1, what is done stays.") from error
        except BaseException:
            mine.close()  # the workers end at once; their jobs go on from the last checkpoint next time
            raise
        finally:
            for future in busy:
                future.cancel()
    _report(failed)


def _report(failed: dict[str, TrainingError]) -> None:
    if failed:
        all_of_them = " ".join(f"{name}: {error}" for name, error in failed.items())
        raise TrainingError(f"All runs are done and stored but for {len(failed)}. {all_of_them}") from next(iter(failed.values()))


def _start_worker(lines: Any, lock: Any, line: Connection) -> None:
    threading.Thread(target=_end_with_the_caller, args=(line,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's, who ends the workers
    tqdm.set_lock(lock)
    with lines.get_lock():
        lines.value += 1
        own_line(lines.value)
    torch.set_num_threads(1)
    threadpool_limits(1)  # scikit-learn's and NumPy's own threads


def _end_with_the_caller(line: Connection) -> None:
    """End this process when the line is cut: nobody waits for its results any more. What it writes is never half-written."""
    with suppress(OSError):  # what Windows makes of a cut line
        line.poll(None)
    os._exit(1)


def _make(job: Job, progress: bool) -> None:
    load_for(job, progress=progress)


def _work(job: Job, folder: Path, progress: bool, heirs: tuple[str, ...]) -> None:
    run_job(job, folder, device="cpu", progress=progress, datasets=_WORKER_DATASETS, heirs=heirs)


_WORKER_DATASETS: dict[Any, ImageDataset] = {}
