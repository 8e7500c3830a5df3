"""A plotly FigureWidget that also works where the browser needs long to load plotly: on a slow laptop, or with many figures on a page."""

import plotly
import plotly.graph_objects as go
import traitlets

# anywidget gives a model's script two seconds. If plotly's five megabytes take longer, it drops every later message of the kernel, and the
# figure stays as it was for good. So the model's script is this short one: it loads plotly once for all figures of the page, keeps the
# messages that come before plotly is there, and hands them on in their order.
_SCRIPT = """
const MESSAGES = ["addTraces", "deleteTraces", "moveTraces", "restyle", "relayout", "update", "animate", "removeLayoutProps",
  "removeTraceProps"].map(name => `_py2js_${name}`);

async function load(model) {
  await new Promise(resolve => setTimeout(resolve, 100));  // the page's small scripts first: plotly keeps the browser busy
  const url = URL.createObjectURL(new Blob([model.get("_plotly")], { type: "text/javascript" }));
  const found = await import(url);
  URL.revokeObjectURL(url);
  return found.default;
}

export default () => {
  let ready;
  return {
    initialize({ model }) {
      const early = [];
      let waiting = true;
      for (const name of MESSAGES) {
        model.on(`change:${name}`, () => {
          if (waiting && model.get(name) !== null) early.push([name, model.get(name)]);
        });
      }
      const key = `novkit-plotly-${model.get("_plotly_version")}`;
      globalThis[key] ??= load(model);
      ready = globalThis[key].then(create => {
        const figure = create();
        figure.initialize({ model });
        waiting = false;
        for (const [name, message] of early)
          for (const value of [null, message, null]) model.set(name, value);  // a change, whatever stands there
        return figure;
      });
      ready.catch(() => delete globalThis[key]);
    },
    async render(view) {
      return (await ready).render(view);
    },
  };
};
"""


class FigureWidget(go.FigureWidget):
    """Plotly's, which meets the browser once it is complete.

    Plotly's own opens the connection first and sends its data after that; a browser that is still busy loses these early messages, and the
    figure stays empty for good. Set `complete` and call `open()` when it holds all it shall show.
    """

    complete = False
    _plotly = traitlets.Unicode(str(go.FigureWidget._esm)).tag(sync=True)
    _plotly_version = traitlets.Unicode(plotly.__version__).tag(sync=True)
    _esm = _SCRIPT

    def open(self) -> None:
        """Meet the browser; nothing happens before the figure is `complete`."""
        if self.complete:
            super().open()
