// Draws the chart of each figure, and tells the charts what the controls say.
(async () => {
  "use strict";
  const charts = [];

  const chosen = (control) =>
    control.tagName === "FIELDSET"
      ? [...control.querySelectorAll("input:checked")].map((box) => Number(box.value))
      : Number(control.value);

  const tell = async (control) => {
    const { signal, options } = control.dataset;
    const value = chosen(control);
    if (options) {
      const text = JSON.parse(options)[value];
      document.querySelector(`output[for="${signal}"]`).textContent = text;
      control.setAttribute("aria-valuetext", text);
    }
    const followers = charts.filter((chart) => chart.steered.includes(signal));
    await Promise.all(followers.map((chart) => chart.view.signal(signal, value).runAsync()));
  };

  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    const spec = JSON.parse(figure.querySelector("script").textContent);
    const { view } = await vegaEmbed(figure.querySelector(".chart"), spec, {
      ast: true, // expressions are interpreted: the page's policy allows no eval
      renderer: "svg",
      downloadFileName: figure.dataset.chart,
      actions: { export: true, source: false, compiled: false, editor: false },
    });
    charts.push({ view, steered: figure.dataset.steered.split(" ") });
  }
  for (const control of document.querySelectorAll("[data-signal]")) {
    control.addEventListener("input", (event) => {
      if (!event.target.checked && chosen(control).length === 0) event.target.checked = true; // of nothing there is no chart
      tell(control);
    });
    await tell(control);
  }
  document.documentElement.dataset.drawn = "true";
})();
