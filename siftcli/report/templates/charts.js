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
      layout.legend = { orientation: "h", y: -0.12, yanchor: "top", x: 0 };
      layout.margin = { l: 40, r: 40, t: 28, b: 28 };
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

  function cue() {
    document.querySelectorAll(".wide").forEach(function (wide) {
      const scroll = wide.querySelector(".scroll");
      wide.classList.toggle("overflows", scroll.scrollWidth > scroll.clientWidth + 1);
    });
  }

  // Anew, as a chart that is resized keeps the place of a legend that had more lines.
  function redraw(charts) {
    charts.forEach(function (chart) {
      if (!figures[chart.id]) return;
      Plotly.purge(chart);
      Plotly.react(chart.id, figures[chart.id].data, layoutOf(figures[chart.id]), config);
    });
  }

  draw();
  cue();
  let width = window.innerWidth, later = 0;
  window.addEventListener("resize", function () {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    cue();
    clearTimeout(later);
    later = setTimeout(function () { redraw(document.querySelectorAll(".chart")); }, 150);
  });
  document.querySelectorAll("details").forEach(function (d) { d.addEventListener("toggle", function () {
      if (d.open) redraw(d.querySelectorAll(".chart"));
      cue();
    });
  });
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
