// Every certificate of the fleet, whoever issued it, and revoking those that are ours.

import { get, post, segment } from "./api.js";
import { confirm, expiry, h, notice, pages, table } from "./dom.js";

/** RFC 5280, 5.3.1, in words. */
export const REASONS = [
  ["keyCompromise", "its key is known to others"],
  ["cessationOfOperation", "the device is no longer in use"],
  ["superseded", "another certificate took its place"],
  ["affiliationChanged", "it belongs to somebody else now"],
  ["privilegeWithdrawn", "it may no longer do what it did"],
  ["certificateHold", "for now only"],
  ["unspecified", "no reason given"],
];

/** Asks, revokes, and calls `then`. */
export async function revoke(serial, then) {
  const reason = await confirm(`Revoke certificate ${serial}? Why?`, { action: "Revoke", choices: REASONS });
  if (reason === null) return;
  try {
    await post(`certificates/${segment(serial)}/revoke`, { reason });
    notice("It is revoked; the revocation list shows it within seconds.");
    then();
  } catch (error) {
    notice(error.message);
  }
}

export async function certificates(search) {
  const query = { q: search.get("q"), status: search.get("status"), limit: 100 };
  const filter = (event) => {
    event.preventDefault();
    location.hash = `#/certificates?${new URLSearchParams(new FormData(event.target))}`;
  };
  const again = () => window.dispatchEvent(new HashChangeEvent("hashchange"));
  const list = await pages((cursor) => get("inventory", { ...query, cursor }), (rows) => table([
    ["Subject", (row) => row.subject],
    ["Issuer", (row) => row.issuer],
    ["Kind", (row) => row.name ?? row.source],
    ["Status", (row) => h("span", { class: { valid: "good", expired: "bad", revoked: "bad" }[row.status] ?? "soft" }, row.reason ? `${row.status} (${row.reason})` : row.status)],
    ["Ends", (row) => expiry(row.not_after)],
    ["Device", (row) => row.guid ? h("a", { href: `#/devices/${segment(row.guid)}` }, row.device_serial ?? row.guid) : ""],
    ["", (row) => row.guid && row.source === "ldevid" && !["revoked", "expired"].includes(row.status) ? h("button", { type: "button", class: "danger", onclick: () => revoke(row.serial, again) }, "Revoke") : ""],
  ], rows, "No certificate is like that."));
  return [
    h("h1", {}, "Certificates"),
    h("form", { class: "filter", onsubmit: filter },
      h("input", { type: "search", name: "q", placeholder: "Subject, serial or fingerprint", "aria-label": "Search", value: query.q ?? "" }),
      h("select", { name: "status", "aria-label": "Status" }, ["", "valid", "expired", "revoked", "replaced", "pending", "future", "retired"].map((name) =>
        h("option", { value: name, selected: name === (query.status ?? "") }, name || "any status"))),
      h("button", {}, "Search")),
    list,
  ];
}
