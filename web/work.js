import { html, setAttributes, setText } from "./dom.js";
import { setTime } from "./times.js";
import { counted, spoken } from "./words.js";

const LISTED = ["import_job", "analytics_tasks"]; // sources whose rows the details have

/**
 * The imports and tasks in progress, and how much of other sources, as lists that are patched by key: scroll, selection and focus
 * survive every update.
 *
 * @typedef {import("./frames.js").Job} Job
 * @typedef {import("./frames.js").Task} Task
 */
export class Work {
  #jobs = new Section("Import Jobs In Progress", jobItem);
  #tasks = new Section("Analytics Tasks In Progress", taskItem);
  #others = new Section("Other Work In Progress", sourceItem);
  #empty = html("div", { class: "empty" }, html("p", {}, "No active import jobs."), html("p", {}, "No active analytics tasks."));
  root = html("div", { class: "work", part: "work" });

  /**
   * @param {import("./frames.js").Details | null} details  null: nothing is known, and nothing shown
   * @param {Readonly<Record<string, import("./frames.js").Source>>} [sources]
   */
  show(details, sources = {}) {
    const others = Object.entries(sources).filter(([name, { active }]) => details && active && !LISTED.includes(name));
    this.#others.show(others.map(([id, source]) => ({ id, source })));
    this.#jobs.show(details?.import_jobs ?? [], details?.import_jobs_total);
    this.#tasks.show(details?.analytics_tasks ?? [], details?.analytics_tasks_total);
    const wanted = [this.#jobs, this.#tasks].filter(({ shown }) => shown > 0).map(({ root }) => root);
    if (details && wanted.length === 0) wanted.push(this.#empty);
    if (others.length > 0) wanted.push(this.#others.root);
    const present = [...this.root.children];
    if (wanted.length !== present.length || wanted.some((part, place) => part !== present[place])) this.root.replaceChildren(...wanted);
  }
}

/**
 * @template {{ id: number | string }} Item
 * @typedef {{ root: HTMLLIElement, show: (item: Item) => void }} View
 */

/** @template {{ id: number | string }} Item */
class Section {
  #list = html("ul", { role: "list" });
  #more = html("p", { class: "more" });
  /** @type {Map<number | string, View<Item>>} */ #views = new Map();

  /** @param {string} title @param {() => View<Item>} view */
  constructor(title, view) {
    this.root = html("section", {}, html("h3", {}, title), this.#list, this.#more);
    this.view = view;
  }

  get shown() {
    return this.#views.size;
  }

  /** @param {Item[]} items @param {number} [total] */
  show(items, total = items.length) {
    const present = new Set(items.map(({ id }) => id));
    for (const [id, { root }] of this.#views) {
      if (present.has(id)) continue;
      root.remove();
      this.#views.delete(id);
    }
    let next = this.#list.firstElementChild;
    for (const item of items) {
      const view = this.#views.get(item.id) ?? this.view();
      this.#views.set(item.id, view);
      view.show(item);
      if (view.root === next) next = next.nextElementSibling;
      else this.#list.insertBefore(view.root, next);
    }
    this.#more.hidden = total <= items.length;
    setText(this.#more, `The first ${items.length} of ${total}.`);
  }
}

const STILL = 300_000; // ms without a change from which on people are told

/** The line that says for how long nothing has changed, where that is long. */
class Stillness {
  #time = html("time");
  root = html("p", { class: "rows" }, "Last change seen ", this.#time);

  /** @param {number} [since]  ms since 1970 */
  show(since) {
    this.root.hidden = since === undefined || Date.now() - since < STILL;
    if (since !== undefined) setTime(this.#time, since);
  }
}

/** @returns {View<Job>} */
function jobItem() {
  const slug = html("span", { class: "name" });
  const state = html("span", { class: "state" });
  const bar = html("progress", { part: "progress", max: 100 });
  const rows = html("p", { class: "rows" });
  const progress = html("div", { class: "progress" }, bar, rows);
  const reached = new Reached();
  const stillness = new Stillness();
  return {
    root: html("li", {}, html("div", { class: "line" }, slug, state), progress, stillness.root),
    show: (job) => {
      stillness.show(job.unchanged_since);
      const name = job.slug ?? `Import job ${job.id}`;
      setText(slug, name);
      setAttributes(slug, { title: name });
      setText(state, spoken(job.state ?? "unknown"));
      const total = job.total_rows ?? 0;
      progress.hidden = total <= 0;
      if (total <= 0) return;
      const { imported, percent } = reached.by(job, total);
      setAttributes(bar, { value: percent, "aria-label": name });
      setText(rows, `${imported} of ${total} rows (${percent}%)`);
    },
  };
}

/** @returns {View<{ id: string, source: import("./frames.js").Source }>} */
function sourceItem() {
  const [name, count] = [html("span", { class: "name" }), html("span", { class: "state" })];
  return {
    root: html("li", {}, html("div", { class: "line" }, name, count)),
    show: ({ id, source }) => {
      setText(name, spoken(id));
      setText(count, counted(source));
    },
  };
}

/** How far a job has come: never less than what was shown, and never all of it while it is still in progress. */
class Reached {
  #imported = 0;
  #percent = 0;

  /** @param {Job} job @param {number} total */
  by({ imported_rows: imported, progress_pct: percent }, total) {
    this.#imported = Math.max(this.#imported, imported ?? 0);
    this.#percent = Math.max(this.#percent, Math.min(99, percent ?? Math.floor((100 * (imported ?? 0)) / total)));
    return { imported: this.#imported, percent: this.#percent };
  }
}

/** @returns {View<Task>} */
function taskItem() {
  const command = html("span", { class: "name" });
  const state = html("span", { class: "state" });
  const created = html("time");
  const age = html("p", { class: "rows" }, "Created ", created);
  const stillness = new Stillness();
  return {
    root: html("li", {}, html("div", { class: "line" }, command, state), age, stillness.root),
    show: (task) => {
      stillness.show(task.unchanged_since);
      const name = task.command ?? `Task ${task.id}`;
      setText(command, name);
      setAttributes(command, { title: name });
      setText(state, spoken(task.state ?? "unknown"));
      age.hidden = !task.created_at;
      if (task.created_at) setTime(created, Date.parse(task.created_at));
    },
  };
}
