// Puts the figure that can be moved in place of its picture, when it comes near the screen.
const watcher = new IntersectionObserver(async (entries) => {
  for (const entry of entries.filter((entry) => entry.isIntersecting)) {
    const figure = entry.target;
    watcher.unobserve(figure);
    const { data, layout, frames } = JSON.parse(figure.querySelector("script").textContent);
    const picture = figure.querySelector("img");
    const place = document.createElement("div");
    if (picture) {
      place.setAttribute("role", "group");
      place.setAttribute("aria-label", picture.alt);
    }
    figure.append(place);
    try {
      await Plotly.newPlot(place, { data, layout, frames, config: { responsive: true, displaylogo: false } });
      picture?.remove();
    } catch (error) {
      place.remove(); // the picture stays
      console.error(error);
    }
  }
}, { rootMargin: "600px" });
document.querySelectorAll("figure.plotly").forEach((figure) => watcher.observe(figure));
