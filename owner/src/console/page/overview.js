// The fleet at a glance: where devices stand, what is wrong, and how many certificates end on each coming day.

import { get } from "./api.js";
import { h, table, time } from "./dom.js";

const DAYS = 90;
const date = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 10);

function bars(days) {
  const most = Math.max(1, ...days.map((day) => day.certificates));
  const width = 100 / Math.max(1, days.length);
  const names = "http://www.w3.org/2000/svg";
  const element = (name, attributes, text) => {
    const made = document.createElementNS(names, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.append(text);
    return made;
  };
  const chart = element("svg", { class: "forecast", role: "img", "aria-label": `Certificates that end on each of the next ${days.length} days, at most ${most} a day` });
  days.forEach((day, index) => {
    const height = (day.certificates / most) * 80;
    const bar = element("rect", { x: `${index * width + width * 0.1}%`, y: `${88 - height}%`, width: `${width * 0.8}%`, height: `${height}%` });
    bar.append(element("title", {}, `${date(day.start)}: ${day.certificates}`));
    chart.append(bar);
  });
  chart.append(element("text", { x: "0.5%", y: "98%" }, days[0] ? date(days[0].start) : ""));
  chart.append(element("text", { x: "99.5%", y: "98%", "text-anchor": "end" }, days.length ? date(days.at(-1).start) : ""));
  return chart;
}

const card = (href, number, words, mood) => h("a", { class: "card", href }, h("b", { class: mood }, String(number)), words);

export async function overview() {
  const [summary, forecast, ca] = await Promise.all([get("summary"), get("forecast", { days: DAYS }), get("ca/authorities")]);
  const devices = summary.devices;
  const ending = forecast.days.slice(0, 30).reduce((sum, day) => sum + day.certificates, 0);
  return [
    h("h1", {}, "Overview"),
    h("div", { class: "cards" },
      card("#/devices", Object.values(devices).reduce((sum, count) => sum + count, 0), "devices"),
      card("#/devices?state=onboarded", devices.onboarded ?? 0, "onboarded", "good"),
      card("#/devices?state=failed", devices.failed ?? 0, "failed", devices.failed ? "bad" : null),
      card("#/devices?state=blocked", devices.blocked ?? 0, "blocked"),
      card("#/alerts", summary.alerts, "open alerts", summary.alerts ? "bad" : "good"),
      card("#/certificates?status=valid", ending, "certificates end within 30 days", ending ? "warn" : null)),
    h("h2", {}, `Certificates that end, by day, for ${DAYS} days`),
    bars(forecast.days),
    h("h2", {}, "Certificate authorities"),
    table([
      ["Subject", (row) => row.subject],
      ["Role", (row) => row.role],
      ["State", (row) => row.state],
      ["Certificates", (row) => row.certificates],
      ["Ends", (row) => time(row.not_after)],
    ], ca, "There is none."),
  ];
}
