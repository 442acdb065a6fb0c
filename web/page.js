/** The page at `/`: what the element shows, with what lies behind it and how the news travels. */
import "./system-status.js";
import { details } from "./details.js";
import { adopt, setAttributes, setText } from "./dom.js";
import { HOME, live } from "./live.js";
import { showParts } from "./page-parts.js";
import { showSources } from "./page-sources.js";
import { Transport } from "./page-transport.js";
import { WORK } from "./styles.js";
import { setTime } from "./times.js";
import { WORDS } from "./words.js";
import { Work } from "./work.js";

/** @param {string} id */
const part = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

const badge = /** @type {import("./system-status.js").SystemStatus} */ (document.querySelector("system-status"));
const since = document.createElement("time");
const store = live();
const feed = details();
const work = new Work();
const transport = new Transport(part("transport"));
/** @type {string | null} */
let build = null;

adopt(document.adoptedStyleSheets, WORK);
part("work").append(work.root);
showParts(part("work"));
badge.addEventListener("system-status-change", showState);
store.subscribe(showSnapshot);
feed.subscribe(showWork);
document.addEventListener("visibilitychange", renew);
offerTag();
showState();
showSnapshot();

/** Title and icon say what the badge says, for those who see only the tab. */
function showState() {
  const { state } = badge;
  document.title = `${WORDS[state].text} · Stability`;
  const name = state === "loading" ? "favicon.svg" : `favicon-${state}.svg`;
  setAttributes(/** @type {Element} */ (document.querySelector("link[rel=icon]")), { href: new URL(name, HOME).href });
}

function showSnapshot() {
  const { snapshot } = store;
  const { status, provenAt } = snapshot;
  transport.show(snapshot);
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
  if (provenAt) setTime(/** @type {HTMLTimeElement} */ (part("as-of")), provenAt);
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
