"use strict";
(function () {
  const button = document.getElementById("blink");
  if (!button) { return; }
  const period_ms = 600;
  const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  let timer = null;

  function turn() { document.body.classList.toggle("other"); }

  function set(on) {
    window.clearInterval(timer);
    timer = on ? window.setInterval(turn, period_ms) : null;
    button.setAttribute("aria-pressed", String(on));
    button.textContent = on ? "Stop blinking" : "Blink";
  }

  button.addEventListener("click", function () { set(timer === null); });
  document.querySelectorAll(".blinking").forEach(function (one) {
    one.addEventListener("click", function () { set(false); turn(); });
  });
  set(!still);
})();
