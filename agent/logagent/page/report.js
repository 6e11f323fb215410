
"use strict";
// Folds, filters, sorts. The page says everything without it. Nothing is built from text of the
// logs: texts are read, compared, and at most put back through textContent.
(() => {
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;
  const each = (where, what) => Array.from(where.querySelectorAll(what));
  root.classList.add("script");

  // Light and dark: the system's choice, unless the button was used.
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const nameTheme = () => { $("theme").textContent = isDark() ? "Light" : "Dark"; };
  try {
    const kept = localStorage.getItem("logagent-theme");
    if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  } catch { /* a file's page may keep nothing in some browsers */ }
  $("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("logagent-theme", root.dataset.theme); } catch { /* likewise */ }
    nameTheme();
  });
  dark.addEventListener("change", nameTheme);
  nameTheme();

  // Folding.
  const fold = (group, open) => {
    group.classList.toggle("open", open);
    group.querySelector(".toggle").setAttribute("aria-expanded", String(open));
  };
  const toggle = (group) => fold(group, !group.classList.contains("open"));
  let folded = () => {};
  for (const group of each(document, ".group")) {
    fold(group, false);
    group.querySelector(".head").addEventListener("click", () => {
      if (String(window.getSelection())) return; // the reader marks text
      toggle(group);
      folded();
    });
  }

  // Sequences: the first ones, until all are asked for.
  const more = $("more");
  if (more) {
    each(document, "#sequences > li").forEach((kind, place) => {
      kind.classList.toggle("beyond", place >= Number(more.dataset.first));
    });
    more.addEventListener("click", () => {
      $("sequences").classList.add("all");
      more.hidden = true;
    });
  }

  // Copying.
  const copy = async (text) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("not allowed");
  };
  for (const button of each(document, ".copy")) button.addEventListener("click", () => {
    copy(button.dataset.copy).then(() => "Copied", () => "Not allowed").then((word) => {
      button.textContent = word;
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  });

  const list = $("groups");
  if (!list) return;
  const groups = each(list, ".group");
  // What is looked through: not the neighbours of a line, which belong to other groups.
  const texts = new Map(groups.map((group) => [group, each(group, ".head, .here, .facts")
    .map((part) => part.textContent).join(" ").toLowerCase()]));

  const nameAll = () => {
    const open = groups.every((group) => group.classList.contains("open"));
    $("all").setAttribute("aria-pressed", String(open));
    $("all").textContent = open ? "Collapse all" : "Expand all";
  };
  folded = nameAll;
  $("all").addEventListener("click", () => {
    const open = $("all").getAttribute("aria-pressed") !== "true";
    groups.forEach((group) => fold(group, open));
    nameAll();
  });
  const follow = () => {
    const named = groups.find((group) => "#" + group.id === location.hash);
    if (named) { fold(named, true); named.scrollIntoView({ block: "center" }); }
  };
  window.addEventListener("hashchange", follow);

  // Filters.
  const chosen = { categories: new Set(), from: -1, to: -1 };
  const axis = () => root.dataset.axis;
  const inSpan = (group) => chosen.from < 0 || group.dataset[axis()].split(" ").some(
    (column) => column !== "" && +column >= chosen.from && +column <= chosen.to);
  const filter = () => {
    const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const least = $("score") ? Number($("score").value) / 100 : 0;
    let shown = 0;
    for (const group of groups) {
      const { category, score } = group.dataset;
      const text = texts.get(group);
      const fits = (!chosen.categories.size || chosen.categories.has(category))
        && Number(score) >= least && inSpan(group) && words.every((word) => text.includes(word));
      group.hidden = !fits;
      shown += fits;
    }
    const all = groups.length;
    $("shown").textContent = shown === all
      ? `${all} group${all === 1 ? "" : "s"}` : `${shown} of ${all} groups`;
    $("none").hidden = shown > 0;
    list.hidden = shown === 0;
  };
  $("filter").addEventListener("input", filter);
  if ($("score")) $("score").addEventListener("input", () => {
    $("least").textContent = (Number($("score").value) / 100).toFixed(2);
    filter();
  });
  for (const chip of each(document, ".chips .chip")) chip.addEventListener("click", () => {
    const on = chip.getAttribute("aria-pressed") !== "true";
    chip.setAttribute("aria-pressed", String(on));
    chosen.categories[on ? "add" : "delete"](chip.dataset.category);
    filter();
  });

  // Sorting.
  const ways = {
    place: (a, b) => a.place - b.place, score: (a, b) => b.score - a.score || a.place - b.place,
    count: (a, b) => b.count - a.count || a.place - b.place,
    first: (a, b) => a.first - b.first, last: (a, b) => b.last - a.last,
  };
  $("sort").addEventListener("change", () => {
    const way = ways[$("sort").value];
    list.append(...groups.sort((a, b) => way(a.dataset, b.dataset)));
  });

  // The plot: pointing tells, dragging or Enter filters.
  const chart = $("chart"), caption = $("caption"), hint = caption.textContent;
  const plot = () => chart.querySelector(`.plot.on-${axis()}`);
  const columns = () => each(plot(), ".column");
  let cursor = -1, anchor = -1, dragging = false;
  const tell = (column) => { caption.textContent = column ? column.textContent : hint; };
  const draw = (from, to) => {
    for (const box of each(chart, ".selection")) box.setAttribute("width", "0");
    if (from < 0) return;
    const box = plot().querySelector(".selection");
    box.setAttribute("x", String(from));
    box.setAttribute("width", String(to - from + 1));
  };
  const choose = (a, b) => {
    chosen.from = Math.min(a, b);
    chosen.to = Math.max(a, b);
    draw(chosen.from, chosen.to);
    $("span").hidden = chosen.from < 0;
    if (chosen.from >= 0) {
      const label = (column) => columns()[column].textContent.split(". ")[0];
      const [from, to] = [label(chosen.from), label(chosen.to)];
      $("span").textContent = from === to ? `${from} ×`
        : `${from.split(" to ")[0]} to ${to.split(" to ")[1]} ×`;
      $("span").setAttribute("aria-label", "Show all times again");
    }
    filter();
  };
  const clear = () => { anchor = -1; choose(-1, -1); };
  $("span").addEventListener("click", () => { clear(); $("filter").focus(); });
  const at = (event) => columns().indexOf(event.target.closest(".column"));
  chart.addEventListener("pointerdown", (event) => {
    if (event.button || (anchor = cursor = at(event)) < 0) return;
    dragging = true;
    if (event.target.releasePointerCapture) event.target.releasePointerCapture(event.pointerId);
  });
  chart.addEventListener("pointermove", (event) => {
    const here = at(event);
    if (here < 0) return;
    tell(columns()[here]);
    if (dragging) { cursor = here; draw(Math.min(anchor, here), Math.max(anchor, here)); }
  });
  chart.addEventListener("pointerleave", () => { if (chosen.from < 0) tell(null); });
  window.addEventListener("pointerup", () => {
    if (!dragging) return;
    dragging = false;
    if (anchor === cursor && chosen.from === cursor && chosen.to === cursor) clear();
    else choose(anchor, cursor);
  });
  window.addEventListener("pointercancel", () => { dragging = false; draw(chosen.from, chosen.to); });
  chart.tabIndex = 0;
  chart.setAttribute("role", "application");
  chart.setAttribute("aria-label", "When the groups occurred; arrows read the columns, "
    + "Shift and arrows select, Enter filters, Escape shows all");
  chart.addEventListener("keydown", (event) => {
    const last = columns().length - 1;
    const to = { ArrowLeft: cursor - 1, ArrowRight: cursor + 1, Home: 0, End: last }[event.key];
    if (to !== undefined) {
      cursor = Math.max(0, Math.min(last, to));
      if (!event.shiftKey || anchor < 0) anchor = cursor;
      draw(Math.min(anchor, cursor), Math.max(anchor, cursor));
      tell(columns()[cursor]);
    } else if ((event.key === "Enter" || event.key === " ") && cursor >= 0) choose(anchor, cursor);
    else if (event.key === "Escape") clear();
    else return;
    event.preventDefault();
  });
  for (const button of each(document, ".switch button")) button.addEventListener("click", () => {
    root.dataset.axis = button.dataset.axis;
    for (const other of each(document, ".switch button"))
      other.setAttribute("aria-pressed", String(other === button));
    cursor = -1;
    tell(null);
    clear();
  });

  // Browsers keep what was typed when a page is loaded again.
  filter();
  follow();
})();
