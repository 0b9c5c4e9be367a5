"use strict";
const rows = [...document.querySelectorAll("tr, .tree li")];
const filter = document.getElementById("filter");
const count = document.getElementById("count");
function show() {
  const words = filter.value.toLowerCase().split(/\s+/);
  let shown = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    const isMeant = words.every((word) => text.includes(word));
    row.classList.toggle("hidden", !isMeant);
    shown += isMeant ? 1 : 0;
  }
  count.textContent = `${shown} of ${rows.length} lines`;
}
filter.addEventListener("input", show);
show();
