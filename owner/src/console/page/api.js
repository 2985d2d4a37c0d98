// Calls of `/api/v1` with the operator's token. The token lives in this tab only, and goes nowhere but into the header.

const KEY = "firstlight-token";

export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** What a service says is wrong: problem+json's title and detail. */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail || body?.title || `The service answered with ${status}.`);
    this.status = status;
  }
}

async function call(method, path, body) {
  const headers = { Authorization: `Bearer ${token.get() ?? ""}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const request = { method, headers, cache: "no-store" };
  if (body !== undefined) request.body = JSON.stringify(body);
  let answer;
  try {
    answer = await fetch(`/api/v1/${path}`, request);
  } catch {
    throw new Problem(0, { detail: "The service cannot be reached." });
  }
  const content = (answer.headers.get("content-type") ?? "").includes("json") ? await answer.json() : null;
  if (!answer.ok) throw new Problem(answer.status, content);
  return content;
}

export const get = (path, query = {}) => {
  const set = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const search = new URLSearchParams(set).toString();
  return call("GET", search ? `${path}?${search}` : path);
};
export const post = (path, body = {}) => call("POST", path, body);

/** A path segment, whatever is in it. */
export const segment = (text) => encodeURIComponent(text);
