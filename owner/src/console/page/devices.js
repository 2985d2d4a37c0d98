// The fleet, and one device: what it is, its certificates, and what an operator may do to it.

import { get, post, segment } from "./api.js";
import { confirm, expiry, h, notice, pages, table, time } from "./dom.js";
import { revoke, REASONS } from "./certificates.js";

const STATES = ["", "imported", "registered", "started", "onboarded", "failed", "blocked", "decommissioned", "sold"];
const MOOD = { onboarded: "good", failed: "bad", blocked: "bad", decommissioned: "soft", started: "warn" };

export const state = (name) => h("span", { class: MOOD[name] ?? "soft" }, name);
const link = (row) => h("a", { href: `#/devices/${segment(row.guid)}` }, row.serial ?? row.guid);

export async function devices(search) {
  const query = { q: search.get("q"), state: search.get("state"), limit: 100 };
  const filter = (event) => {
    event.preventDefault();
    location.hash = `#/devices?${new URLSearchParams(new FormData(event.target))}`;
  };
  const list = await pages((cursor) => get("devices", { ...query, cursor }), (rows) => table([
    ["Serial", link],
    ["State", (row) => state(row.state)],
    ["Model", (row) => row.model ?? row.device_info],
    ["Certificate ends", (row) => expiry(row.certificate_expires)],
    ["Last", (row) => row.reason ?? row.progress],
    ["GUID", (row) => h("code", {}, row.guid)],
  ], rows, "No device is like that."));
  return [
    h("h1", {}, "Devices"),
    h("form", { class: "filter", onsubmit: filter },
      h("input", { type: "search", name: "q", placeholder: "Serial, GUID or model", "aria-label": "Search", value: query.q ?? "" }),
      h("select", { name: "state", "aria-label": "State" }, STATES.map((name) =>
        h("option", { value: name, selected: name === (query.state ?? "") }, name || "any state"))),
      h("button", {}, "Search")),
    list,
  ];
}

export async function device(_, name) {
  const row = await get(`devices/${segment(name)}`);
  const issued = await get("certificates", { guid: row.guid, limit: 100 });
  const again = () => window.dispatchEvent(new HashChangeEvent("hashchange"));
  const act = async (question, action, path, body, done, choices) => {
    const answer = await confirm(question, { action, choices });
    if (answer === null) return;
    try {
      await post(path, choices ? { ...body, reason: answer } : body);
      notice(done);
      again();
    } catch (error) {
      notice(error.message);
    }
  };
  const who = row.serial ?? row.guid;
  const blocked = row.state === "blocked";
  const button = (label, run, danger) => h("button", { type: "button", class: danger ? "danger" : null, onclick: run }, label);
  return [
    h("h1", {}, who, " ", state(row.state)),
    h("dl", {},
      h("dt", {}, "GUID"), h("dd", {}, h("code", {}, row.guid)),
      h("dt", {}, "Model"), h("dd", {}, row.model ?? row.device_info),
      h("dt", {}, "Onboarded"), h("dd", {}, time(row.onboarded)),
      h("dt", {}, "Certificate ends"), h("dd", {}, expiry(row.certificate_expires)),
      row.reason ? [h("dt", {}, "Reason"), h("dd", { class: "bad" }, row.reason)] : [],
      row.progress ? [h("dt", {}, "Last onboarding"), h("dd", {}, row.progress)] : []),
    h("div", { class: "actions" },
      blocked
        ? button("Unblock", () => act(`Let ${who} onboard and renew again?`, "Unblock", `devices/${segment(row.guid)}/unblock`, {}, `${who} is unblocked.`))
        : button("Block", () => act(`Block ${who}? It can neither onboard nor renew until it is unblocked.`, "Block", `devices/${segment(row.guid)}/block`, {}, `${who} is blocked.`), true),
      button("Revoke its certificates", () => act(`Revoke all certificates of ${who}?`, "Revoke", `devices/${segment(row.guid)}/revoke`, {}, `The certificates of ${who} are revoked.`, REASONS), true),
      row.state === "decommissioned"
        ? button("Put back into service", () => act(`Put ${who} back into service? It may onboard again.`, "Put back", `devices/${segment(row.guid)}/recommission`, {}, `${who} is back in service.`))
        : button("Decommission", () => act(`Decommission ${who}? Its certificates are revoked, and it can neither onboard nor renew.`, "Decommission", `devices/${segment(row.guid)}/decommission`, {}, `${who} is decommissioned.`), true)),
    h("h2", {}, "Certificates"),
    table([
      ["Serial", (item) => h("code", {}, item.serial)],
      ["State", (item) => h("span", { class: item.state === "revoked" ? "bad" : "good" }, item.reason ? `${item.state} (${item.reason})` : item.state)],
      ["Ends", (item) => expiry(item.not_after)],
      ["Issued", (item) => time(item.created)],
      ["", (item) => item.state === "issued" ? h("button", { type: "button", class: "danger", onclick: () => revoke(item.serial, again) }, "Revoke") : ""],
    ], issued.items, "It has none."),
  ];
}
