import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { drawn, heights } from "../../web/bars.js";
import { described, parseHistories, summary } from "../../web/service-history.js";

const MINUTE = 60_000;
const NOTHING = { passing: 0, warning: 0, critical: 0, unknown: 0, samples: 0 };

/** One slot per entry, of 15 minutes, the last of which is a third over. @param {Partial<typeof NOTHING>[]} told */
function past(told) {
  const length = 15 * MINUTE;
  const slots = told.map((slot, place) => ({ start: place * length, ...NOTHING, ...slot }));
  return { slots, length, now: (told.length - 1) * length + 5 * MINUTE, skew: 0 };
}

const WELL = { passing: 100, samples: 15 };

describe("the history of a service", () => {
  test("is read from the answer for all", () => {
    const slot = { timestamp: "2026-01-31T12:00:00Z", passing: 98.5, warning: 0, critical: 1.5, unknown: 0, samples: 15 };
    const { length, services } = parseHistories(JSON.stringify({ granularity: 15, services: { "n:web": [slot], "n:new": [] } }));
    assert.equal(length, 15 * MINUTE);
    assert.deepEqual(services.get("n:web"), [{ start: Date.parse(slot.timestamp), passing: 98.5, warning: 0, critical: 1.5, unknown: 0, samples: 15 }]);
    assert.deepEqual(services.get("n:new"), []);
  });

  test("is drawn in four paths, bars that are alike as one", () => {
    assert.deepEqual(drawn(past([WELL, WELL, WELL])), ["M0 320H10000V0H0Z", "", "", ""]);
    const [passing, , critical] = drawn(past([WELL, { passing: 50, critical: 50, samples: 3 }, WELL]));
    assert.equal(passing, "M0 320H4286V0H0ZM4286 320H8571V160H4286ZM8571 320H10000V0H8571Z");
    assert.equal(critical, "M4286 160H8571V0H4286Z");
  });

  test("has nothing where nobody looked", () => {
    assert.deepEqual(drawn(past([WELL, {}, WELL])), ["M0 320H4286V0H0ZM8571 320H10000V0H8571Z", "", "", ""]);
    assert.deepEqual(drawn(past([])), ["", "", "", ""]);
  });

  test("shows two pixels of anything critical", () => {
    const found = heights({ start: 0, passing: 99.9, warning: 0, critical: 0.1, unknown: 0, samples: 15 });
    assert.deepEqual(found.map(Math.round), [300, 0, 20, 0]);
    assert.deepEqual(heights({ start: 0, passing: 0, warning: 0, critical: 100, unknown: 0, samples: 1 }), [0, 0, 320, 0]);
  });

  test("says in words what it shows", () => {
    assert.match(summary("web", past([WELL, { passing: 98.5, critical: 1.5, samples: 9 }, WELL])), /^web: 99.5 % passing over 24 h, 1 critical period \d\d:\d\d.*–.*\d\d:\d\d/);
    assert.match(summary("web", past([{ critical: 100, samples: 1 }, WELL, { critical: 1, samples: 1 }, { critical: 2, samples: 1 }])), /, 2 critical periods [^,]+, [^,]+$/);
    assert.match(summary("web", past([WELL, {}])), /never critical, part of it not known$/);
    assert.equal(summary("web", past([{}])), "web: nothing is known of the last 24 h");
    const [when, ...shares] = described(past([{ passing: 98.5, critical: 1.5, samples: 9 }, WELL]), 0);
    assert.match(String(when), /1970/);
    assert.deepEqual(shares, ["Passing: 98.5%", "Critical: 1.5%"]);
    assert.equal(described(past([{}, WELL]), 0)[1], "No samples");
  });
});
