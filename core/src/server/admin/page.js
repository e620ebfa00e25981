"use strict";
(() => {
  const live = document.getElementById("live");
  const auto = document.getElementById("auto");
  const refresh = document.getElementById("refresh");
  const load = async () => {
    const address = new URL(location.href);
    address.searchParams.set("part", "1");
    const answer = await fetch(address, { credentials: "same-origin", cache: "no-store" });
    if (answer.status === 401) { location.reload(); return; }
    if (answer.ok) { live.innerHTML = await answer.text(); }
  };
  refresh.addEventListener("click", (event) => { event.preventDefault(); load().catch(() => {}); });
  setInterval(() => {
    if (auto.checked && !document.hidden) { load().catch(() => {}); }
  }, 5000);
})();
