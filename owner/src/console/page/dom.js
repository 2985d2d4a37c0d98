// Elements from data. What devices and others say is only ever text here, never markup.

/** `h("td", { class: "bad" }, "text", node, ..)`; nothing is made of null. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function show(...children) {
  document.querySelector("main").replaceChildren(...children.flat());
}

let fading;
/** One sentence at the foot of the page. */
export function notice(text) {
  const place = document.getElementById("notice");
  place.textContent = text;
  clearTimeout(fading);
  fading = setTimeout(() => { place.textContent = ""; }, 8000);
}

const day = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
/** Unix seconds as UTC; the end of an IDevID is none. */
export function time(seconds) {
  if (seconds === null || seconds === undefined) return h("span", { class: "soft" }, "none");
  if (seconds >= 253402300799) return h("span", { class: "soft" }, "without end");
  return h("time", { datetime: new Date(seconds * 1000).toISOString() }, `${day(seconds)} UTC`);
}

/** How far an end is away, and how much that should worry. */
export function expiry(seconds) {
  if (seconds === null || seconds === undefined || seconds >= 253402300799) return time(seconds);
  const days = Math.floor((seconds - Date.now() / 1000) / 86400);
  const how = days < 0 ? "bad" : days < 14 ? "warn" : "soft";
  const words = days < 0 ? "expired" : days === 0 ? "today" : days === 1 ? "in 1 day" : `in ${days} days`;
  return h("span", {}, time(seconds), " ", h("span", { class: how }, words));
}

/** A table of rows; `columns` are `[title, row => content]`. */
export function table(columns, rows, empty) {
  if (rows.length === 0) return h("p", { class: "soft" }, empty);
  const head = h("tr", {}, columns.map(([title]) => h("th", { scope: "col" }, title)));
  const body = rows.map((row) => h("tr", {}, columns.map(([, content]) => h("td", {}, content(row) ?? ""))));
  return h("div", { class: "scroll" }, h("table", {}, h("thead", {}, head), h("tbody", {}, body)));
}

/** Asks before something that cannot be undone; gives the chosen value, or null. */
export function confirm(question, { action, choices }) {
  return new Promise((resolve) => {
    const select = choices && h("select", { name: "reason", "aria-label": "Reason" },
      choices.map(([value, label]) => h("option", { value }, label)));
    const dialog = h("dialog", {},
      h("form", { method: "dialog" },
        h("p", {}, question), select ?? null,
        h("div", { class: "actions" },
          h("button", { value: "yes", class: "danger" }, action),
          h("button", { value: "no", autofocus: true }, "Cancel"))));
    dialog.addEventListener("close", () => {
      const value = dialog.returnValue === "yes" ? (select ? select.value : "yes") : null;
      dialog.remove();
      resolve(value);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A list that grows by its next pages; `load(cursor)` gives `{items, next}`. */
export async function pages(load, draw) {
  const place = h("div");
  const rows = [];
  const more = async (cursor) => {
    const page = await load(cursor);
    rows.push(...page.items);
    const next = page.next && h("button", { type: "button", onclick: () => more(page.next).catch((error) => notice(error.message)) }, "More");
    place.replaceChildren(draw(rows), next ? h("div", { class: "actions" }, next) : "");
  };
  await more();
  return place;
}
