"""Pages made from results: the report of a folder, the tables of a Markdown page."""

from novkit.report.overview import write_report

__all__ = ["write_report"]
