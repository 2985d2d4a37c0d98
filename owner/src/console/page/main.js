// Which page is shown: signing in with an operator token, then what the address says behind its `#`.

import { get, Problem, token } from "./api.js";
import { h, notice, show } from "./dom.js";
import { overview } from "./overview.js";
import { device, devices } from "./devices.js";
import { certificates } from "./certificates.js";
import { alerts } from "./alerts.js";

const PAGES = [
  [/^\/$/, "Overview", overview],
  [/^\/devices$/, "Devices", devices],
  [/^\/devices\/([^/]+)$/, "Device", device],
  [/^\/certificates$/, "Certificates", certificates],
  [/^\/alerts$/, "Alerts", alerts],
];

function signIn(why) {
  document.querySelector("header").hidden = true;
  document.title = "Firstlight";
  const field = h("input", { type: "password", name: "token", id: "token", autocomplete: "off", required: true, autofocus: true });
  const enter = async (event) => {
    event.preventDefault();
    token.set(field.value.trim());
    try {
      await get("devices", { limit: 1 });
      route();
    } catch (error) {
      token.forget();
      signIn(error.status === 401 ? "This token is not known here, or it has expired." : error.message);
    }
  };
  show(h("form", { class: "login", onsubmit: enter },
    h("h1", {}, "Firstlight"),
    h("p", {}, "Sign in with an operator token. The first one is in the file ", h("code", {}, "operator-token"),
      " of the data directory; more are made by ", h("code", {}, "fdo-owner token create"), "."),
    why ? h("p", { class: "bad", role: "alert" }, why) : null,
    h("label", { for: "token" }, "Operator token"), field,
    h("button", { class: "main" }, "Sign in")));
  field.focus();
}

let latest = 0;
async function route() {
  if (!token.get()) return signIn();
  const turn = ++latest;
  const [path, search] = (location.hash.slice(1) || "/").split("?");
  document.querySelector("header").hidden = false;
  for (const link of document.querySelectorAll("nav a")) {
    const target = link.getAttribute("href").slice(1);
    const here = target === "/" ? path === "/" : path.startsWith(target);
    if (here) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  for (const [pattern, title, page] of PAGES) {
    const match = path.match(pattern);
    if (!match) continue;
    document.title = `${title} · Firstlight`;
    try {
      const content = await page(new URLSearchParams(search), ...match.slice(1).map(decodeURIComponent));
      // Whoever went on meanwhile sees what they went on to.
      if (turn === latest) show(content);
    } catch (error) {
      if (error instanceof Problem && error.status === 401) { token.forget(); return signIn("Sign in again."); }
      if (turn === latest) show(h("h1", {}, title), h("p", { class: "bad", role: "alert" }, error.message));
    }
    return;
  }
  show(h("p", {}, "There is no such page."));
}

window.addEventListener("hashchange", route);
document.getElementById("leave").addEventListener("click", () => { token.forget(); location.hash = "#/"; signIn(); });
window.addEventListener("unhandledrejection", (event) => notice(event.reason?.message ?? "Something failed."));
route();
