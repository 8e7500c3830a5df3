"""What is done in the browser: saving the view as PNG and the selection as CSV, names for screen readers, figures as wide as the page."""

from collections.abc import Callable
from typing import Any

import anywidget
import traitlets

# ipywidgets leaves the handles of its sliders without a name, and plotly its drawings. Nothing here needs JupyterLab: Voilà serves it too.
_SCRIPT = """
function save(name, href) {
  const link = document.createElement("a");
  link.download = name;
  link.href = href;
  document.body.appendChild(link);
  link.click();
  link.remove();
}

function nameSliders(root) {
  for (const box of root.querySelectorAll(".widget-slider")) {
    const text = box.querySelector(".widget-label")?.textContent;
    if (!text) continue;
    const handles = box.querySelectorAll(".noUi-handle");
    handles.forEach((handle, i) =>
      handle.setAttribute("aria-label", handles.length > 1 ? `${text}, ${i ? "highest" : "lowest"}` : text));
    const readout = box.querySelector(".widget-readout");
    if (!readout) continue;
    readout.setAttribute("aria-label", `${text}, value`);
    readout.setAttribute("role", "textbox");
    readout.style.minWidth = "max-content";  // "99% – 100%" is wider than ipywidgets allows
    const values = readout.textContent.split("–");  // as people read them: a logarithmic slider would say its exponent
    if (values.length === handles.length) handles.forEach((handle, i) => {
      if (handle.getAttribute("aria-valuetext") !== values[i].trim()) handle.setAttribute("aria-valuetext", values[i].trim());
    });
  }
}

function nameAll(root, model) {
  nameSliders(root);
  for (const [icon, name] of Object.entries({ play: "Play", pause: "Pause", stop: "Stop", retweet: "Repeat" }))
    for (const image of root.querySelectorAll(`.widget-play .fa-${icon}`)) image.parentElement.setAttribute("aria-label", name);
  for (const plot of root.querySelectorAll(".js-plotly-plot")) {
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", model.get("alt"));
  }
}

function render({ model, el }) {
  const button = (text, action) => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "jupyter-button";
    made.style.cssText = "margin: 2px 6px 2px 0; padding: 0 10px; cursor: pointer";
    made.textContent = text;
    made.addEventListener("click", action);
    el.appendChild(made);
    return made;
  };
  const root = () => el.closest(".novkit-explorer");
  button("Save view as PNG", () => root()?.querySelector('.modebar-btn[data-title^="Download plot"]')?.click());
  let asked = false;
  if (model.get("has_csv")) button("Save selection as CSV", () => { asked = true; model.send({ ask: "csv" }); });
  const answer = (message) => {
    if (!asked || message.csv === undefined) return;  // another view of this explorer asked
    asked = false;
    const url = URL.createObjectURL(new Blob([message.csv], { type: "text/csv;charset=utf-8" }));
    save(`${model.get("file_name")}.csv`, url);
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  };
  model.on("msg:custom", answer);

  let waiting = false;
  const rename = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; const found = root(); if (found) nameAll(found, model); });
  };
  const observer = new MutationObserver(rename);
  // a slider that moves says a bare number; put right before anyone can read it
  const moved = new MutationObserver(() => { const found = root(); if (found) nameSliders(found); });
  let width = 0;
  const fit = new ResizeObserver(([entry]) => {
    const now = Math.round(entry.contentRect.width);
    if (now && now !== width) { width = now; window.dispatchEvent(new Event("resize")); }  // plotly fits its figures to the page
  });
  const attach = () => {
    const found = root();
    if (found) {
      observer.observe(found, { childList: true, subtree: true });
      moved.observe(found, { attributeFilter: ["aria-valuetext"], subtree: true });
      fit.observe(found);
      rename();
    } else if (tries-- > 0) setTimeout(attach, 100);
  };
  let tries = 100;
  attach();
  model.on("change:alt", rename);
  return () => {
    for (const each of [observer, moved, fit]) each.disconnect();
    model.off("msg:custom", answer);
    model.off("change:alt", rename);
  };
}
export default { render };
"""

_STYLE = """
.novkit-explorer { overflow-x: auto; }
.novkit-explorer .js-plotly-plot { min-width: 640px; }
.novkit-spinner { display: inline-block; width: 0.8em; height: 0.8em; margin-right: 0.5em; vertical-align: -0.05em; border-radius: 50%;
  border: 2px solid currentColor; border-top-color: transparent; animation: novkit-turn 0.9s linear infinite; }
@keyframes novkit-turn { to { transform: rotate(360deg); } }
@media (prefers-reduced-motion: reduce) { .novkit-spinner { animation-duration: 4s; } }
"""


class Toolbar(anywidget.AnyWidget):
    """The buttons. alt: what the figure shows, in words. csv: gives the selection as CSV text when asked; None: no such button."""

    _esm = _SCRIPT
    _css = _STYLE
    alt = traitlets.Unicode("").tag(sync=True)
    has_csv = traitlets.Bool(False).tag(sync=True)
    file_name = traitlets.Unicode("novkit").tag(sync=True)

    def __init__(self, *, file_name: str, csv: Callable[[], str] | None = None) -> None:
        super().__init__(file_name=file_name, has_csv=csv is not None)
        self._csv = csv
        self.on_msg(self._asked)

    def _asked(self, _: Any, content: Any, __: Any) -> None:
        if self._csv is not None and content == {"ask": "csv"}:
            self.send({"csv": self._csv()})
