/** The page at `/`: what the element shows, with what lies behind it and how the news travels. */
import "./system-status.js";
import "./status-history.js";
import { details } from "./details.js";
import { adopt, setAttributes, setText } from "./dom.js";
import { HOME, live } from "./live.js";
import { Overview } from "./page-overview.js";
import { Pace } from "./page-pace.js";
import { showParts } from "./page-parts.js";
import { showSources } from "./page-sources.js";
import { Transport } from "./page-transport.js";
import { stateOf } from "./snapshot.js";
import { WORK } from "./styles.js";
import { setTime } from "./times.js";
import { WORDS } from "./words.js";
import { Work } from "./work.js";

const LEVEL = /** @type {const} */ ({ loading: "loading", stable: "ok", processing: "processing", unknown: "unknown" });

/** @param {string} id */
const part = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

const badge = /** @type {import("./system-status.js").SystemStatus} */ (document.querySelector("system-status"));
const since = document.createElement("time");
const store = live();
const feed = details();
const work = new Work();
const transport = new Transport(part("transport"));
const pace = new Pace(part("refresh"), store);
const overview = new Overview(part("overview"));
/** @type {string | null} */
let build = null;

adopt(document.adoptedStyleSheets, WORK);
part("work").append(work.root);
overview.add("sources", "Jobs");
showParts(part("work"), overview);
badge.addEventListener("system-status-change", showState);
store.subscribe(showSnapshot);
feed.subscribe(showWork);
document.addEventListener("visibilitychange", renew);
addEventListener("beforeprint", showPrinted);
offerTag();
showState();
showSnapshot();

/** Title and icon say what the badge says, for those who see only the tab. */
function showState() {
  const { state } = badge;
  document.title = `${WORDS[state].text} · Stability`;
  showPrinted();
  const name = state === "loading" ? "favicon.svg" : `favicon-${state}.svg`;
  setAttributes(/** @type {Element} */ (document.querySelector("link[rel=icon]")), { href: new URL(name, HOME).href });
}

function showSnapshot() {
  const { snapshot } = store;
  const { status, provenAt } = snapshot;
  transport.show(snapshot);
  pace.show(snapshot);
  setText(part("note"), (snapshot.transport === "polling" && snapshot.note) || "");
  build ??= snapshot.build;
  renew();
  if (status?.since) {
    setTime(since, Date.parse(status.since));
    if (!since.isConnected) part("since").replaceChildren("Changed ", since);
  } else {
    part("since").replaceChildren();
  }
  showSources(part("sources"), status);
  overview.tell("sources", LEVEL[stateOf(snapshot)], tallyOf(status));
  showPrinted();
  if (provenAt) setTime(/** @type {HTMLTimeElement} */ (part("as-of")), provenAt);
}

/** Paper does not change: what it says has its moment. */
function showPrinted() {
  const { provenAt } = store.snapshot;
  const moment = badge.state === "unknown" || provenAt === null ? Date.now() : provenAt;
  const known = badge.state === "unknown" && provenAt !== null ? `, last known ${new Date(provenAt).toLocaleString()}` : "";
  setText(part("printed"), `${WORDS[badge.state].text} as of ${new Date(moment).toLocaleString()}${known}`);
}

/** @param {import("./frames.js").Status | null} status @returns {import("./levels.js").Tally} */
function tallyOf(status) {
  const sources = Object.values(status?.sources ?? {});
  const broken = sources.filter(({ active }) => active === null).length;
  return { processing: sources.reduce((sum, { count }) => sum + (count ?? 0), 0), unknown: broken };
}

function showWork() {
  const { details, error, refused, readAt } = feed.snapshot;
  part("work").hidden = !details && !error;
  work.show(details);
  const message = part("work-error");
  message.hidden = !error;
  if (error) message.replaceChildren(`Failed to load details: ${error} `, ...(refused ? [signIn()] : []));
  const asOf = /** @type {HTMLTimeElement} */ (part("work-as-of"));
  /** @type {HTMLElement} */ (asOf.parentElement).hidden = !details;
  if (readAt) setTime(asOf, readAt);
}

function signIn() {
  const link = document.createElement("a");
  link.href = new URL("login", HOME).href;
  link.textContent = "Sign in";
  return link;
}

/** A page from another build than the server's reloads once nobody looks at it. */
function renew() {
  const { build: served } = store.snapshot;
  if (build && served && served !== build && document.visibilityState === "hidden") location.reload();
}

function offerTag() {
  const tag = `<script type="module" src="${new URL("system-status.js", HOME)}"></script>\n<system-status></system-status>`;
  const copy = part("copy");
  setText(part("embed"), tag);
  copy.hidden = !navigator.clipboard; // plain HTTP has none
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(tag);
    setText(copy, "Copied");
    setTimeout(() => setText(copy, "Copy"), 2_000);
  });
}
