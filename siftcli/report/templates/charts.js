"use strict";
(function () {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const config = { responsive: true, displayModeBar: false };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function layoutOf(figure) {
    const own = figure.layout;
    const axis = { gridcolor: colour("--grid"), zerolinecolor: colour("--line"), linecolor: colour("--line"), automargin: true, fixedrange: true };
    const polarAxis = { gridcolor: axis.gridcolor, linecolor: axis.linecolor };
    const layout = Object.assign({}, own, {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: colour("--text"), size: 13 },
      margin: { l: 48, r: 16, t: 12, b: 44 },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
      dragmode: false,
      hovermode: own.hovermode || "x unified",
      hoverlabel: { bgcolor: colour("--ground"), font: { color: colour("--text") } },
      xaxis: Object.assign({}, axis, own.xaxis),
      yaxis: Object.assign({}, axis, own.yaxis),
    });
    if (own.polar) {
      layout.hovermode = "closest";
      layout.legend = { orientation: "h", y: 1.12, yanchor: "bottom", x: 0 };
      layout.margin = { l: 40, r: 40, t: 12, b: 28 };
      layout.polar = {
        bgcolor: "rgba(0,0,0,0)",
        radialaxis: Object.assign({}, polarAxis, own.polar.radialaxis),
        angularaxis: Object.assign({}, polarAxis, own.polar.angularaxis),
      };
    }
    return layout;
  }

  function draw() {
    for (const [key, figure] of Object.entries(figures)) {
      Plotly.react(key, figure.data, layoutOf(figure), config);
    }
  }

  draw();
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  const closed = [];
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details:not([open])").forEach(function (d) { closed.push(d); d.open = true; });
    draw();
  });
  window.addEventListener("afterprint", function () {
    closed.splice(0).forEach(function (d) { d.open = false; });
    draw();
  });
})();
