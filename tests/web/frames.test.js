import assert from "node:assert/strict";
import { test } from "node:test";
import { BadFrame, parseDetails, parseStatus } from "../../web/frames.js";

test("the state follows from `stable`, whatever word came with it", () => {
  for (const [stable, state] of /** @type {const} */ ([[true, "stable"], [false, "processing"], [null, "unknown"]])) {
    assert.equal(parseStatus(JSON.stringify({ stable, state: "fine", version: 3 })).state, state);
  }
});

test("details count what they list when no totals came", () => {
  const { import_jobs_total, analytics_tasks_total } = parseDetails(
    JSON.stringify({ import_jobs: [{ id: 1 }], analytics_tasks: [], system_stable: false }),
  );
  assert.deepEqual([import_jobs_total, analytics_tasks_total], [1, 0]);
});

test("details say of each row since when it stands still, if it does", () => {
  const since = "2026-01-01T00:00:00.000Z";
  const { import_jobs: jobs, analytics_tasks: tasks } = parseDetails(
    JSON.stringify({
      import_jobs: [{ id: 1 }, { id: 2 }],
      analytics_tasks: [{ id: 1 }],
      system_stable: false,
      unchanged: [{ source: "import_job", id: 1, since, seconds: 60 }, { source: "mails", id: 1, since, seconds: 60 }],
    }),
  );
  assert.deepEqual([...jobs, ...tasks].map(({ unchanged_since }) => unchanged_since), [Date.parse(since), undefined, undefined]);
});

test("details of another shape are refused", () => {
  for (const broken of [{}, { import_jobs: [], analytics_tasks: {} }, { import_jobs: [], analytics_tasks: [], system_stable: null }]) {
    assert.throws(() => parseDetails(JSON.stringify(broken)), BadFrame);
  }
});
