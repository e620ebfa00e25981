"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const live = find("live");
  const auto = find("auto");
  const note = find("note");
  let busy = false;
  // Who reads with a keyboard or scrolls sideways keeps the place.
  const show = (text) => {
    const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
    const left = find("table")?.scrollLeft ?? 0;
    live.innerHTML = text;
    const table = find("table");
    if (table) { table.scrollLeft = left; }
    if (focused) { find(focused)?.focus({ preventScroll: true }); }
  };
  const load = async () => {
    if (busy) { return; }
    busy = true;
    try {
      const address = new URL(location.href);
      address.searchParams.set("part", "1");
      const signal = AbortSignal.timeout(10000);
      const answer = await fetch(address, { cache: "no-store", redirect: "error", signal });
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) { throw new Error(answer.statusText); }
      show(await answer.text());
      note.textContent = "";
    } catch {
      note.textContent = "The server is not reachable. What is below is old.";
    } finally {
      busy = false;
    }
  };
  const selecting = () => {
    const selection = getSelection();
    return !selection.isCollapsed && live.contains(selection.anchorNode);
  };
  auto.checked = sessionStorage.getItem("auto") !== "off";
  auto.parentElement.hidden = false;
  auto.addEventListener("change", () => sessionStorage.setItem("auto", auto.checked ? "on" : "off"));
  find("refresh").addEventListener("click", (event) => { event.preventDefault(); load(); });
  setInterval(() => {
    if (auto.checked && !document.hidden && !selecting()) { load(); }
  }, 5000);
})();
