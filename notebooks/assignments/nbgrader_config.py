"""nbgrader's settings for these assignments: run nbgrader in this folder, or in a copy of it.

The points are those of `novkit grade`: the same limit for a cell, the same course seed, and what a cell writes to stderr (a warning, a
progress bar) costs nothing. Nothing confines a submission here: see TEACHING.md.
"""

import os

c = get_config()  # noqa: F821  # nbgrader's

os.environ.setdefault("NOVKIT_COURSE_SEED", "0")  # choose your own, as for `novkit grade --course-seed`
os.environ.setdefault("PLOTLY_RENDERER", "plotly_mimetype")

c.CourseDirectory.course_id = "novkit"
c.CourseDirectory.source_directory = "source"
c.CourseDirectory.release_directory = "release"
c.Execute.timeout = 180  # seconds on the clock, for 60 of CPU
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = r"(?s)."  # everything on stderr
