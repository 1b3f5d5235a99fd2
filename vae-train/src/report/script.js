"use strict";
// The page is complete without this: it adds a theme switch, series that can be switched off, and values at pointer or arrow keys.

const root = document.documentElement;
const theme = document.getElementById("theme");
const preferred = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme ?? (preferred.matches ? "dark" : "light")) === "dark";
const nameTheme = () => { theme.textContent = isDark() ? "Light theme" : "Dark theme"; };
theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; nameTheme(); });
preferred.addEventListener("change", nameTheme);
nameTheme();
theme.hidden = false;

for (const button of document.querySelectorAll("[data-series]")) {
  button.addEventListener("click", () => {
    const shown = button.getAttribute("aria-pressed") === "false";
    button.setAttribute("aria-pressed", String(shown));
    const series = `.series.${button.dataset.series}`;
    for (const marks of button.closest("figure").querySelectorAll(series)) marks.classList.toggle("off", !shown);
  });
}

const tip = document.getElementById("tip");
let marked = null;
function hide() {
  marked?.classList.remove("marked");
  marked = null;
  tip.hidden = true;
}
function show(mark) {
  if (mark === marked) return;
  hide();
  marked = mark;
  mark.classList.add("marked");
  tip.textContent = mark.dataset.tip;
  tip.hidden = false;
  place();
}
function place() {
  if (!marked) return;
  const at = marked.getBoundingClientRect(), size = tip.getBoundingClientRect(), room = 8;
  const left = Math.min(Math.max(at.left + at.width / 2 - size.width / 2, room), innerWidth - size.width - room);
  const above = at.top - size.height - room;
  const top = above > room ? above : Math.min(at.bottom + room, innerHeight - size.height - room);
  tip.style.translate = `${Math.round(left)}px ${Math.round(top)}px`;
}

for (const plot of document.querySelectorAll(".plot")) {
  // The browser's own tooltips would come a second time.
  for (const title of plot.querySelectorAll("title")) {
    title.parentNode.dataset.tip = title.textContent;
    title.remove();
  }
  const marks = () => [...plot.querySelectorAll("[data-tip]")].filter((mark) => !mark.closest(".off"));
  for (const event of ["pointerover", "pointerdown"]) {
    plot.addEventListener(event, ({ target }) => (target.dataset.tip ? show(target) : hide()));
  }
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", (event) => {
    const all = marks();
    if (!all.length) return;
    const now = all.indexOf(marked);
    const last = all.length - 1;
    const next = {
      ArrowRight: Math.min(now + 1, last), ArrowDown: Math.min(now + 1, last),
      ArrowLeft: Math.max(now - 1, 0), ArrowUp: Math.max(now - 1, 0),
      Home: 0, End: last,
    }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    show(all[next]);
  });
}
addEventListener("scroll", place, { passive: true });
addEventListener("resize", place);
addEventListener("keydown", ({ key }) => { if (key === "Escape") hide(); });
