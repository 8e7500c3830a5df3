"""AUROC of every method on every set-up: as dots with intervals, and as a table."""

import math

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from novkit.errors import DataError
from novkit.figures.style import GRID, finish, in_template, method_look
from novkit.records import SETUPS


def auroc_dots(table: pd.DataFrame, *, title: str = "AUROC by method") -> go.Figure:
    """A dot with its 95 % interval for each method, one panel for each set-up (and case); small dots are the single seeds.

    table: what `novkit.results.auroc_intervals` gives, for one data set. Raises DataError where it has no rows.
    """
    if table.empty:
        raise DataError("There are no results to draw: pass at least one row.")
    panels = [name for name in ("setup", "case") if name in table]
    names = list(dict.fromkeys(tuple(row) for row in table[panels].itertuples(index=False)))
    methods = list(dict.fromkeys(table["display_name"]))
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    height = 90 + rows * (110 + 24 * len(methods))
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=["<br>".join([SETUPS[name[0]], *name[1:]]) for name in names],
        shared_yaxes=True,
        horizontal_spacing=0.04,
        vertical_spacing=118 / height,
    )
    for index, name in enumerate(names):
        row, column = index // columns + 1, index % columns + 1
        part = table[(table[panels] == list(name)).all(axis=1)]
        for line in part.itertuples():
            _add_dot(figure, line, row, column)
        figure.add_vline(0.5, line={"color": "#8C8C8C", "width": 1.2, "dash": "dot"}, row=row, col=column)
    low = min(0.45, float(table["low"].min()) - 0.02, *(min(seeds) - 0.02 for seeds in table["seeds"]))
    figure.update_xaxes(range=[max(0, math.floor(low * 20) / 20), 1.01])
    figure.update_xaxes(title_text="AUROC (0.5 is chance)")
    figure.update_yaxes(categoryorder="array", categoryarray=methods[::-1], range=[-0.6, len(methods) - 0.4], showgrid=False)
    figure.update_layout(showlegend=False, margin_t=100)
    alt = "; ".join(
        f"{' '.join([SETUPS[line['setup']], line.get('case', '')]).strip()}, {line['display_name']} {line['auroc']:.3f}"
        for line in table.to_dict("records")
    )
    return finish(figure, title=title, alt=f"AUROC with 95 % intervals. {alt}.", height=height)


def _add_dot(figure: go.Figure, line, row: int, column: int) -> None:
    colour, symbol, _ = method_look(line.method)
    if len(line.seeds) > 1:
        figure.add_trace(
            go.Scatter(
                x=line.seeds,
                y=[line.display_name] * len(line.seeds),
                mode="markers",
                marker={"color": colour, "size": 5, "opacity": 0.45, "symbol": "circle"},
                hovertemplate=f"{in_template(line.display_name)}, one seed: %{{x:.3f}}<extra></extra>",
            ),
            row,
            column,
        )
    text = f"{line.display_name}<br>{line.auroc:.3f} [{line.low:.3f}, {line.high:.3f}]" + (f"<br>{line.note}" if line.note else "")
    figure.add_trace(
        go.Scatter(
            x=[line.auroc],
            y=[line.display_name],
            mode="markers",
            marker={"color": colour, "size": 10, "symbol": symbol, "line": {"width": 2 if "open" in symbol else 0, "color": colour}},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [max(0.0, line.high - line.auroc)],
                "arrayminus": [max(0.0, line.auroc - line.low)],
                "color": colour,
                "thickness": 2,
                "width": 0,
            },
            hovertemplate=in_template(text) + "<extra></extra>",
        ),
        row,
        column,
    )


def auroc_table(table: pd.DataFrame, *, title: str = "AUROC by method") -> go.Figure:
    """The same numbers as a table, methods down, set-ups (and cases) across; the best of each column is bold, upper bounds are marked.

    table: what `novkit.results.auroc_intervals` gives, for one data set. Raises DataError where it has no rows.
    """
    if table.empty:
        raise DataError("There are no results to show: pass at least one row.")
    panels = [name for name in ("setup", "case") if name in table]
    heads = list(dict.fromkeys(tuple(row) for row in table[panels].itertuples(index=False)))
    methods = table.drop_duplicates("display_name")
    notes = dict(zip(methods["display_name"], methods["note"], strict=True))
    cells = [[name + (" †" if note else "") for name, note in notes.items()]]
    for head in heads:
        part = table[(table[panels] == list(head)).all(axis=1)].set_index("display_name")
        best = part.loc[part["note"] == "", "auroc"].max()
        column = []
        for name in notes:
            if name not in part.index:
                column.append("–")
                continue
            line = part.loc[name]
            text = f"{line['auroc']:.3f} [{line['low']:.3f}, {line['high']:.3f}]"
            column.append(f"<b>{text}</b>" if line["auroc"] == best else text)
        cells.append(column)
    figure = go.Figure(
        go.Table(
            header={
                "values": ["method", *("<br>".join([SETUPS[head[0]], *head[1:]]) for head in heads)],
                "align": ["left", "center"],
                "fill_color": "rgba(128, 128, 128, 0.14)",
                "line_color": GRID,
            },
            cells={"values": cells, "align": ["left", "center"], "fill_color": "rgba(0,0,0,0)", "line_color": GRID, "height": 28},
        )
    )
    marks = sorted({note for note in notes.values() if note})
    if marks:
        figure.add_annotation(text=f"† {'; '.join(marks)}", x=0, y=-0.02, xref="paper", yref="paper", showarrow=False, yanchor="top")
    alt = f"Table of AUROC with 95 % intervals: {len(notes)} methods, {len(heads)} set-ups."
    return finish(figure, title=title, alt=alt, height=160 + 30 * len(notes))
