// What needs somebody's attention, and taking note of it.

import { get, post, segment } from "./api.js";
import { h, notice, pages, table, time } from "./dom.js";

export async function alerts() {
  const again = () => window.dispatchEvent(new HashChangeEvent("hashchange"));
  const act = async (path, body, done) => {
    try {
      await post(path, body);
      notice(done);
      again();
    } catch (error) {
      notice(error.message);
    }
  };
  const list = await pages((cursor) => get("alerts", { limit: 100, cursor }), (rows) => table([
    ["Severity", (row) => h("span", { class: { critical: "bad", warning: "warn" }[row.severity] ?? "soft" }, row.severity)],
    ["What", (row) => row.title],
    ["Device", (row) => row.device_serial ? h("a", { href: `#/devices/${segment(row.device_serial)}` }, row.device_serial) : ""],
    ["Since", (row) => time(row.opened)],
    ["State", (row) => row.state],
    ["", (row) => row.state === "open" ? h("div", { class: "actions" },
      h("button", { type: "button", onclick: () => act(`alerts/${segment(row.id)}/ack`, {}, "Acknowledged.") }, "Acknowledge"),
      h("button", { type: "button", onclick: () => act(`alerts/${segment(row.id)}/silence`, { until: Math.floor(Date.now() / 1000) + 86400 }, "Silent for a day.") }, "Silence for a day")) : ""],
  ], rows, "Nothing needs attention."));
  return [h("h1", {}, "Alerts"), list];
}
