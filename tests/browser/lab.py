"""What a reader does in JupyterLab: open a notebook, run it, move a slider, click a point. And what can be read from the page."""

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Locator, Page

from tests.browser.conftest import MS, PROJECT, Server

# the status line says "idle" before the kernel is connected, and what is run then is lost
_CONNECTED = """() => {
  const context = window.jupyterapp?.shell?.currentWidget?.sessionContext;
  const kernel = context?.session?.kernel;
  return Boolean(context?.isReady && kernel?.connectionStatus === "connected" && kernel.status === "idle");
}"""
_CELLS = """() => {
  const widget = window.jupyterapp.shell.currentWidget;
  const cells = [...widget.content.model.sharedModel.cells].filter(c => c.cell_type === "code" && c.getSource().trim());
  return {
    status: widget.sessionContext.session.kernel.status,
    counts: cells.map(c => c.execution_count),
    errors: cells.flatMap(c => c.outputs.filter(o => o.output_type === "error").map(o => `${o.ename}: ${o.evalue}`)),
  };
}"""


ANSWER = 120  # seconds that an answer to a control may take on a machine that is doing other things too


def eventually(read: Callable[[], Any], expected: Any) -> None:
    """Assert that what is read from the page becomes what is expected."""
    end = time.monotonic() + ANSWER
    while (found := read()) != expected and time.monotonic() < end:
        time.sleep(0.2)
    assert found == expected, f"the page shows {found!r}, not {expected!r}"


class Notebook:
    """A notebook open in JupyterLab."""

    def __init__(self, page: Page, server: Server, path: Path) -> None:
        """Open a copy of `path` and wait until its kernel is connected."""
        if path.parent != server.folder:
            shutil.copy(path, server.folder / path.name)
        self.page = page
        page.goto(server.url(f"/doc/tree/{path.name}"))
        page.wait_for_function(_CONNECTED, timeout=MS)
        page.evaluate("window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")  # what is seen later is new

    def run_all(self) -> None:
        """Run → Run All Cells, by the menu; waits for the last cell. Fails with the first error of a cell."""
        self._menu("Run", "runmenu:run-all")
        self.wait()

    def run_from(self, text: str) -> None:
        """Select the cell that holds `text` and run it and all below."""
        self.cell(text).locator(".jp-InputArea-editor, .jp-MarkdownOutput").first.click(position={"x": 5, "y": 5})
        before = self.counts()
        self._menu("Run", "notebook:run-all-below")
        self.page.wait_for_function(
            "before => { const now = (" + _CELLS + ")(); return JSON.stringify(now.counts) !== before; }",
            arg=json.dumps(before, separators=(",", ":")),
            timeout=MS,
        )
        self.wait()

    def counts(self) -> list[int | None]:
        return self.page.evaluate(_CELLS)["counts"]

    def wait(self) -> None:
        """Until every cell has run."""
        self.page.wait_for_function(
            "() => { const s = (" + _CELLS + ")(); return s.errors.length || (s.status === 'idle' && s.counts.every(Boolean)); }",
            timeout=MS,
            polling=250,
        )
        assert self.page.evaluate(_CELLS)["errors"] == []

    def cell(self, text: str) -> Locator:
        """The cell whose source holds `text`."""
        index = self.page.evaluate(
            "text => [...window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells]"
            ".findIndex(c => c.getSource().includes(text))",
            text,
        )
        assert index >= 0, f"no cell holds {text!r}"
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def _menu(self, menu: str, command: str) -> None:
        self.page.locator(".lm-MenuBar-itemLabel", has_text=re.compile(f"^{menu}$")).click()
        self.page.locator(f'.lm-Menu-item[data-command="{command}"]').first.click()


class View:
    """An explorer on a page, in JupyterLab or Voilà."""

    def __init__(self, page: Page, number: int = 0) -> None:
        self.page, self.root = page, page.locator(".novkit-explorer").nth(number)
        self.root.wait_for(timeout=MS)
        self.root.scroll_into_view_if_needed()
        self.page.wait_for_function("node => node.querySelector('.js-plotly-plot .main-svg')", arg=self._handle(), timeout=MS)

    def _handle(self) -> Any:
        return self.root.element_handle()

    def figure(self, path: str) -> Any:
        """Something of the plotly figure, as JavaScript after `plot.`"""
        return self.page.evaluate(f"node => {{ const plot = node.querySelector('.js-plotly-plot'); return plot.{path}; }}", self._handle())

    def numbers(self, trace: int, name: str = "y") -> np.ndarray:
        """A trace's numbers as the browser has them."""
        return np.array(self.figure(f"calcdata ? Array.from(plot._fullData[{trace}].{name}) : []"), dtype=float)

    def handle(self, label: str) -> Locator:
        """A slider's handle, by the name that screen readers say."""
        return self.root.locator(f'.noUi-handle[aria-label="{label}"]')

    def drag(self, label: str, share: float) -> None:
        """Drag a slider's handle with the mouse to a share of its way; again where the page moved meanwhile and the mouse missed it."""
        handle = self.handle(label)
        before = handle.get_attribute("aria-valuenow")
        for _ in range(5):
            self._drag_once(handle, share)
            for _ in range(8):
                if handle.get_attribute("aria-valuenow") != before:
                    return
                self.page.wait_for_timeout(250)

    def _drag_once(self, handle: Locator, share: float) -> None:
        handle.scroll_into_view_if_needed()
        base = handle.locator("xpath=ancestor::*[contains(@class, 'noUi-base')]").bounding_box()
        knob = handle.bounding_box()
        assert base
        assert knob
        self.page.mouse.move(knob["x"] + knob["width"] / 2, knob["y"] + knob["height"] / 2)
        self.page.mouse.down()
        for step in (0.25, 0.5, 0.75, 1.0):
            x = knob["x"] + knob["width"] / 2
            self.page.mouse.move(x + step * (base["x"] + share * base["width"] - x), knob["y"] + knob["height"] / 2)
        self.page.mouse.up()

    def press(self, label: str, key: str, times: int = 1) -> None:
        """Move a slider's handle with the keyboard."""
        handle = self.handle(label)
        handle.focus()
        for _ in range(times):
            handle.press(key)

    def value(self, label: str) -> str:
        """What a slider says of itself."""
        return self.handle(label).get_attribute("aria-valuetext") or ""

    def choose(self, label: str, *options: str) -> None:
        """Choose in a list by its label."""
        self.root.get_by_label(label, exact=True).select_option(label=list(options))

    def table(self, number: int = 0) -> dict[str, dict[str, str]]:
        """The readout: {row: {column: text}}."""
        return self.page.evaluate(
            """([node, number]) => {
              const table = node.querySelectorAll("table")[number];
              if (!table) return {};
              const heads = [...table.querySelectorAll("tr:first-child th[scope=col]")].map(h => h.textContent);
              return Object.fromEntries([...table.querySelectorAll("th[scope=row]")].map(h =>
                [h.textContent, Object.fromEntries([...h.parentElement.querySelectorAll("td")].map((d, i) =>
                  [heads[i] ?? "", d.textContent]))]));
            }""",
            [self._handle(), number],
        )

    def until(self, script: str, argument: Any = None) -> None:
        """Wait for what JavaScript says of `root` (the explorer), `plot` and `argument`."""
        self.page.wait_for_function(
            f"([root, argument]) => {{ const plot = root.querySelector('.js-plotly-plot'); return {script}; }}",
            arg=[self._handle(), argument],
            timeout=1000 * ANSWER,
        )

    def eventually(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds` does: a figure is drawn a while after the kernel is idle and the table has changed."""
        end = time.monotonic() + MS / 1000
        while not holds():
            assert time.monotonic() < end, "the page did not get there"
            self.page.wait_for_timeout(250)

    def click_point(self, trace: int, point: int) -> None:
        """Click a point of a trace with the mouse, where plotly draws it."""
        axes = self.figure(f"_fullData[{trace}].xaxis + ' ' + plot._fullData[{trace}].yaxis").split()
        x, y = axes[0].replace("x", "xaxis"), axes[1].replace("y", "yaxis")
        self.click_at(x, y, float(self.numbers(trace, "x")[point]), float(self.numbers(trace)[point]))

    def click_at(self, x_axis: str, y_axis: str, x: float, y: float) -> None:
        """Click a place of the figure, given on its axes."""
        self.root.locator(".js-plotly-plot").scroll_into_view_if_needed()
        at = self.page.evaluate(
            """([node, xAxis, yAxis, x, y]) => {
              const plot = node.querySelector(".js-plotly-plot"), box = plot.getBoundingClientRect();
              const across = plot._fullLayout[xAxis], up = plot._fullLayout[yAxis];
              return [box.x + across._offset + across.d2p(x), box.y + up._offset + up.d2p(y)];
            }""",
            [self._handle(), x_axis, y_axis, x, y],
        )
        self.page.mouse.move(at[0] - 3, at[1] - 3)
        self.page.mouse.move(*at)
        self.page.wait_for_timeout(300)  # plotly looks for the point under the mouse a moment later
        self.page.mouse.click(*at)

    def rest(self) -> None:
        """Wait until the kernel has answered all, and the page has stayed as it is for a moment."""
        before = ""
        while True:
            now = self.page.evaluate(
                "node => node.innerText + JSON.stringify(node.querySelector('.js-plotly-plot').layout)", self._handle()
            )
            if now == before:
                return
            before = now
            self.page.wait_for_function(
                "() => (window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status ?? 'idle') === 'idle'", timeout=MS
            )
            self.page.wait_for_timeout(500)

    @property
    def text(self) -> str:
        return self.root.inner_text()

    @property
    def status(self) -> str:
        return self.root.locator("p[role=status]").first.inner_text() if self.root.locator("p[role=status]").count() else ""


NOTEBOOKS = PROJECT / "notebooks"
