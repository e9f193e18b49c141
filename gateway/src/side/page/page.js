"use strict";

const REFRESH_MS = 2000;
const element = (id) => document.getElementById(id);

/** Samples of the text format: name → list of { labels, value }. */
function parse(text) {
  const metrics = new Map();
  for (const line of text.split("\n")) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      labels[name] = value.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
    }
    if (!metrics.has(match[1])) metrics.set(match[1], []);
    metrics.get(match[1]).push({ labels, value: Number(match[3]) });
  }
  return metrics;
}

function samples(metrics, name, wanted = {}) {
  const all = metrics.get(name) ?? [];
  return all.filter(({ labels }) => Object.entries(wanted).every(([key, value]) => labels[key] === value));
}

const value = (metrics, name, wanted) => samples(metrics, name, wanted)[0]?.value;
const sum = (metrics, name, wanted) => samples(metrics, name, wanted).reduce((total, it) => total + it.value, 0);
const labelValues = (metrics, name, label) => [...new Set(samples(metrics, name).map((it) => it.labels[label]))];

/** The bound below which `share` of a histogram's counts lie, in seconds; null without counts. */
function quantile(metrics, name, wanted, share) {
  const buckets = samples(metrics, name + "_bucket", wanted);
  const count = buckets.at(-1)?.value ?? 0;
  if (count === 0) return null;
  let before = 0;
  for (const { labels, value: upTo } of buckets) {
    const bound = Number(labels.le === "+Inf" ? Infinity : labels.le);
    if (upTo >= share * count) return { from: before, to: bound };
    before = bound;
  }
  return null;
}

function number(n) {
  if (n === undefined || Number.isNaN(n)) return "–";
  return n.toLocaleString("en-US", { maximumFractionDigits: 1 });
}

function bytes(n) {
  if (n === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) { n /= 1024; unit += 1; }
  return `${number(n)} ${units[unit]}`;
}

function time(seconds) {
  for (const [unit, size] of [["s", 1], ["ms", 1e-3], ["µs", 1e-6]]) {
    if (seconds >= size) return `${number(seconds / size)} ${unit}`;
  }
  return `${number(seconds / 1e-9)} ns`;
}

function range(found) {
  if (found === null) return "–";
  return Number.isFinite(found.to) ? `≤ ${time(found.to)}` : `> ${time(found.from)}`;
}

function age(seconds) {
  const [days, hours, minutes] = [86400, 3600, 60].map((size) => Math.floor(seconds / size));
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return minutes > 0 ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

function make(tag, text, className) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function rows(id, list, columns, empty) {
  const made = list.map((cells) => {
    const row = document.createElement("tr");
    cells.forEach((cell, index) => {
      const [text, className] = Array.isArray(cell) ? cell : [cell, ""];
      const made = make(index === 0 ? "th" : "td", text, className);
      if (index === 0) made.scope = "row";
      row.append(made);
    });
    return row;
  });
  if (made.length === 0) {
    const row = document.createElement("tr");
    const cell = make("td", empty, "note");
    cell.colSpan = columns;
    row.append(cell);
    made.push(row);
  }
  element(id).replaceChildren(...made);
}

let previous = null;

/** Growth of a counter a second since the last refresh. */
function rate(key, count, now) {
  const before = previous?.[key];
  const seconds = (now - (previous?.now ?? now)) / 1000;
  return before === undefined || seconds <= 0 || count < before ? null : (count - before) / seconds;
}

function showState(health) {
  const badge = element("state");
  const failed = Object.entries(health.checks).filter(([, check]) => check.status !== "healthy");
  const noted = Object.values(health.checks).some((check) => check.message);
  badge.className = "badge " + (failed.length > 0 ? "bad" : noted ? "warn" : "good");
  badge.textContent = failed.length > 0 ? `not ready: ${failed.map(([name]) => name).join(", ")}` : "ready";
  document.title = `${failed.length > 0 ? "✗" : "✓"} Tollgate ${health.instance}`;
  element("instance").textContent = health.instance;
  element("checks").replaceChildren(...Object.entries(health.checks).map(([name, check]) => {
    const item = document.createElement("li");
    const good = check.status === "healthy";
    const kind = good ? (check.message ? "warn" : "good") : "bad";
    item.append(make("span", good ? "✓" : "✗", kind), make("span", name), make("span", check.message ?? "", "why"));
    return item;
  }));
}

function showFigures(metrics, now) {
  const counts = {
    now,
    commands: sum(metrics, "tollgate_commands_total"),
    rejects: sum(metrics, "tollgate_rejects_total"),
    fills: sum(metrics, "tollgate_reports_total", { kind: "filled" }),
  };
  const growth = (key) => {
    const found = rate(key, counts[key], now);
    return found === null ? "" : `${number(found)}/s`;
  };
  const unknown = value(metrics, "tollgate_orders_unknown") ?? 0;
  const state = ["active", "reducing", "halted"][value(metrics, "tollgate_trading_state") ?? 0];
  const figures = [
    ["trading", state, "", { active: "good", reducing: "warn", halted: "bad" }[state]],
    ["sessions", number(value(metrics, "tollgate_sessions")), `of ${number(value(metrics, "tollgate_sessions_limit"))}`],
    ["orders open", number(value(metrics, "tollgate_orders_open")), `of ${number(value(metrics, "tollgate_orders_open_limit"))}`],
    ["orders unknown", number(unknown), "", unknown > 0 ? "warn" : ""],
    ["commands", number(counts.commands), growth("commands")],
    ["refused", number(counts.rejects), growth("rejects")],
    ["fills", number(counts.fills), growth("fills")],
    ["loss limit used", `${number((value(metrics, "tollgate_loss_limit_used_ratio") ?? 0) * 100)} %`, ""],
  ];
  previous = counts;
  element("figures").replaceChildren(...figures.map(([name, text, small, className]) => {
    const figure = document.createElement("div");
    const shown = make("dd", text + " ", className);
    shown.append(make("small", small));
    figure.append(make("dt", name), shown);
    return figure;
  }));
}

function showTables(metrics) {
  const distributions = [
    ["command", "tollgate_command_latency_seconds", {}],
    ["turn", "tollgate_turn_seconds", {}],
    ...labelValues(metrics, "tollgate_venue_round_trip_seconds_count", "venue")
      .map((venue) => [`round trip ${venue}`, "tollgate_venue_round_trip_seconds", { venue }]),
    ...labelValues(metrics, "tollgate_stage_seconds_count", "stage")
      .map((stage) => [`stage ${stage}`, "tollgate_stage_seconds", { stage }]),
  ].filter(([, name, wanted]) => value(metrics, name + "_count", wanted) > 0);
  rows("latency", distributions.map(([title, name, wanted]) => [
    title, ...[0.5, 0.99, 0.999].map((share) => range(quantile(metrics, name, wanted, share))),
    number(value(metrics, name + "_count", wanted)),
  ]), 5, "no command yet");

  rows("venues", samples(metrics, "tollgate_venue_state").map(({ labels: { venue }, value: state }) => [
    venue, [["down", "reconciling", "up"][state], ["bad", "warn", "good"][state]],
    ...["requests_total", "reports_total", "outbox", "disconnects_total"]
      .map((name) => number(value(metrics, "tollgate_venue_" + name, { venue }))),
  ]), 6, "none");

  const outcomes = ["acknowledged", "rejected", "repeated", "refused", "answered"];
  rows("commands", labelValues(metrics, "tollgate_commands_total", "action")
    .filter((action) => sum(metrics, "tollgate_commands_total", { action }) > 0)
    .map((action) => [action,
      ...outcomes.map((outcome) => number(value(metrics, "tollgate_commands_total", { action, outcome })))]),
  6, "none yet");

  const refusals = [
    ["tollgate_rejects_total", "command"], ["tollgate_door_refused_total", "door"],
    ["tollgate_sessions_ended_total", "session"],
  ].flatMap(([name, where]) => samples(metrics, name).map((it) => [it.labels.code, where, it.value]))
    .filter(([, , count]) => count > 0).sort((a, b) => b[2] - a[2]).slice(0, 20);
  rows("rejects", refusals.map(([code, where, count]) => [code, where, number(count)]), 3, "none");
}

function showJournal(metrics, now) {
  const last = value(metrics, "tollgate_journal_sequence");
  const durable = value(metrics, "tollgate_journal_durable_sequence");
  const state = value(metrics, "tollgate_journal_state") ?? 0;
  const syncs = value(metrics, "tollgate_journal_syncs_total");
  const spent = value(metrics, "tollgate_journal_sync_seconds_total");
  rows("journal", [
    ["journal", [["writable", "low on space", "failed"][state], ["good", "warn", "bad"][state]]],
    ["records", number(last)],
    ["records not yet durable", number(Math.max(0, last - durable))],
    ["free in segment " + number(value(metrics, "tollgate_journal_segment")),
      bytes(value(metrics, "tollgate_journal_free_bytes"))],
    ["syncs", syncs > 0 ? `${number(syncs)}, ${time(spent / syncs)} each` : number(syncs)],
    ["connections not logged on", number(value(metrics, "tollgate_door_waiting"))],
    ["addresses answered late", number(value(metrics, "tollgate_door_blocked_addresses"))],
    ["resident memory", bytes(value(metrics, "process_resident_memory_bytes"))],
    ["open files", number(value(metrics, "process_open_fds"))],
    ["processor time", `${number(value(metrics, "process_cpu_seconds_total"))} s`],
  ], 2, "");
  const started = value(metrics, "process_start_time_seconds") ?? now / 1000;
  const version = samples(metrics, "tollgate_build_info")[0]?.labels.version ?? "";
  element("about").textContent = `version ${version}, up ${age(now / 1000 - started)}`;
}

async function refresh() {
  try {
    const [health, text] = await Promise.all([
      fetch("health", { cache: "no-store" }).then((answer) => answer.json()),
      fetch("metrics", { cache: "no-store" }).then((answer) => answer.text()),
    ]);
    const metrics = parse(text);
    const now = Date.parse(health.timestamp);
    showState(health);
    showFigures(metrics, now);
    showTables(metrics);
    showJournal(metrics, now);
    element("updated").textContent = `as of ${health.timestamp.slice(0, 19).replace("T", " ")} UTC`;
  } catch {
    element("state").className = "badge bad";
    element("state").textContent = "no answer: the figures below are old";
    document.title = "✗ Tollgate";
  }
  setTimeout(refresh, REFRESH_MS);
}

refresh();
