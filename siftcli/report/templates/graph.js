(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const table = document.querySelector("#pairs tbody");
  if (!table) { return; }
  const SHOWN = 200;
  const hasReasons = data.reasons.some(Boolean);
  const strength = (k) => Math.max(data.inliers[k], 0) || Math.max(data.matches[k], 0);
  const count = (n) => (n < 0 ? "–" : String(n));
  const names = (k) => [data.images[data.a[k]], data.images[data.b[k]]];
  const breakable = (text) => text.replace(/([+/_])/g, "$1\u200b");
  const quoted = (text) => "'" + text.replace(/'/g, "'\\''") + "'";

  function cell(row, text, name) {
    const made = row.insertCell();
    made.textContent = text;
    if (name) { made.className = name; }
    return made;
  }

  function line(k) {
    const row = table.insertRow();
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = breakable(names(k).join("\u00a0– "));
    button.addEventListener("click", function () { pick(k); });
    cell(row, "", "name").append(button);
    cell(row, count(data.inliers[k]), data.edge[k] ? "better" : "");
    cell(row, count(data.matches[k]));
    if (hasReasons) { cell(row, breakable(data.reasons[data.reason[k]]), "reason"); }
  }

  function pick(k) {
    const [first, second] = names(k);
    const picked = document.getElementById("picked");
    const reason = data.reasons[data.reason[k]];
    picked.textContent = first + " – " + second + ": " + count(data.inliers[k]) + " inliers, " + count(data.matches[k]) + " matches" + (reason ? ", tried as " + reason : "");
    const picture = document.getElementById(data.pictures[k]);
    if (picture) {
      picked.append(picture.querySelector("img").cloneNode());
      picked.scrollIntoView({ block: "nearest" });
      return;
    }
    const command = document.createElement("code");
    command.textContent = "siftcli match " + quoted(data.file) + " --show " + quoted(first) + " " + quoted(second) + " --draw pair.png";
    picked.append(command);
  }

  function fill() {
    const wanted = document.getElementById("find").value.toLowerCase();
    const which = document.getElementById("which").value;
    const fits = data.images.map(function (name) { return name.toLowerCase().includes(wanted); });
    const found = [];
    for (let k = 0; k < data.a.length; k++) {
      const isKind = which === "all" || (which === "edge") === Boolean(data.edge[k]);
      if (isKind && (fits[data.a[k]] || fits[data.b[k]])) { found.push(k); }
    }
    if (document.getElementById("order").value === "weak") { found.reverse(); }
    table.replaceChildren();
    found.slice(0, SHOWN).forEach(line);
    document.getElementById("found").textContent = found.length > SHOWN ? "first " + SHOWN + " of " + found.length + " pairs" : found.length + " pairs";
  }

  for (const id of ["find", "which", "order"]) { document.getElementById(id).addEventListener("input", fill); }
  fill();

  const matrix = document.getElementById("matrix");
  matrix.addEventListener("click", function (event) {
    const box = matrix.getBoundingClientRect();
    const block = Number(matrix.dataset.block);
    const side = matrix.naturalWidth;
    const place = (at, from, length) => Math.min(side - 1, Math.max(0, Math.floor(((at - from) / length) * side)));
    const cells = [place(event.clientX, box.left, box.width), place(event.clientY, box.top, box.height)].sort(function (p, q) { return p - q; });
    let best = -1;
    // A finger or a small picture is not exact to a cell: the nearest pair is taken, of equals the strongest.
    let nearest = Math.max(1, Math.ceil((6 * side) / box.width)) + 0.5;
    for (let k = 0; k < data.a.length; k++) {
      const low = Math.floor(data.a[k] / block) - cells[0];
      const high = Math.floor(data.b[k] / block) - cells[1];
      const away = Math.max(Math.abs(low), Math.abs(high));
      if (away < nearest || (away === nearest && best >= 0 && strength(k) > strength(best))) {
        nearest = away;
        best = k;
      }
    }
    if (best >= 0) { pick(best); }
  });
})();
