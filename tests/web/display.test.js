import assert from "node:assert/strict";
import { beforeEach, describe, mock, test } from "node:test";
import { Display } from "../../web/display.js";
import { Voice } from "../../web/voice.js";

describe("the badge's calm", () => {
  /** @type {string[]} */ let shown;
  /** @type {Display} */ let display;

  beforeEach(() => {
    mock.timers.reset();
    mock.timers.enable({ apis: ["setTimeout"] });
    shown = [];
    display = new Display((state) => shown.push(state));
  });

  test("shows work at once, and rest after a second without work", () => {
    display.tell("stable");
    display.tell("processing");
    display.tell("stable");
    mock.timers.tick(999);
    assert.deepEqual(shown, ["stable", "processing"]);
    mock.timers.tick(1);
    assert.deepEqual(shown, ["stable", "processing", "stable"]);
  });

  test("does not flicker while short tasks follow each other", () => {
    display.tell("processing");
    for (let task = 0; task < 10; task += 1) {
      display.tell("stable");
      mock.timers.tick(900);
      display.tell("processing");
      mock.timers.tick(900);
    }
    assert.deepEqual(shown, ["processing"]);
  });

  test("counts the second from the end of the work, not from its last repetition", () => {
    display.tell("processing");
    display.tell("stable");
    mock.timers.tick(600);
    display.tell("stable");
    mock.timers.tick(400);
    assert.deepEqual(shown, ["processing", "stable"]);
  });

  test("never delays that nothing is known", () => {
    display.tell("processing");
    display.tell("stable");
    display.tell("unknown");
    mock.timers.tick(2_000);
    assert.deepEqual(shown, ["processing", "unknown"]);
  });
});

describe("the voice", () => {
  /** @type {{ textContent: string | null }} */ let region;
  /** @type {Voice} */ let voice;
  /** @param {import("../../web/words.js").State} state */
  const tell = (state) => {
    voice.tell(state);
    mock.timers.tick(0);
  };

  beforeEach(() => {
    mock.timers.reset();
    mock.timers.enable({ apis: ["setTimeout"] });
    region = { textContent: "" };
    voice = new Voice(region);
  });

  test("is silent about the first state, and says the second", () => {
    tell("loading");
    tell("stable");
    mock.timers.tick(10_000);
    assert.equal(region.textContent, "");
    tell("processing");
    assert.equal(region.textContent, "Processing Data");
  });

  test("says the same state once", () => {
    tell("stable");
    tell("unknown");
    region.textContent = "(heard)";
    mock.timers.tick(10_000);
    tell("unknown");
    assert.equal(region.textContent, "(heard)");
  });

  test("waits five seconds between two sentences, and then says how it is, not how it was", (t) => {
    t.mock.method(performance, "now", () => 0);
    tell("stable");
    tell("processing");
    tell("stable");
    tell("unknown");
    mock.timers.tick(4_999);
    assert.equal(region.textContent, "Processing Data");
    mock.timers.tick(1);
    assert.equal(region.textContent, "Status Unknown");
  });

  test("says nothing of a change that was over before it could be said", (t) => {
    t.mock.method(performance, "now", () => 0);
    tell("stable");
    tell("processing");
    region.textContent = "(heard)";
    tell("stable");
    tell("processing");
    mock.timers.tick(5_000);
    assert.equal(region.textContent, "(heard)");
  });
});
