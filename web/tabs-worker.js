/** Runs as a SharedWorker, named for its server: owns the one stream and tells every tab what it hears. */
import { Stream } from "./stream.js";

/** The tabs, each with the topics that it shows. @type {Map<MessagePort, Set<string>>} */
const ports = new Map();
/** @type {Stream | null} */
let stream = null;

/** @param {import("./snapshot.js").Snapshot} snapshot @param {import("./rows.js").News} news */
function tell(snapshot, news) {
  for (const [port, topics] of ports) port.postMessage({ snapshot, news: only(news, topics) });
}

/** @param {import("./rows.js").News} news @param {Set<string>} topics */
function only(news, topics) {
  return Object.fromEntries(Object.entries(news).filter(([topic]) => topics.has(topic)));
}

/** @param {MessagePort} port @param {string} base @param {string[]} topics */
function follow(port, base, topics) {
  ports.set(port, new Set(topics));
  if (!stream) {
    stream = new Stream(base, tell);
    stream.want(topics);
    stream.start();
  }
  const { snapshot, rows } = stream;
  port.postMessage(snapshot.beat ? { snapshot, news: rows.all(topics) } : {});
  stream.want(topics);
}

/** @param {MessagePort} port @param {string[]} topics */
function want(port, topics) {
  ports.set(port, new Set(topics));
  if (!stream) return;
  port.postMessage({ snapshot: stream.snapshot, news: stream.rows.all(topics) });
  stream.want(topics);
}

/** @param {MessagePort} port */
function leave(port) {
  ports.delete(port);
  if (ports.size > 0) return;
  stream?.stop();
  stream = null;
}

addEventListener("connect", (event) => {
  const [port] = /** @type {MessageEvent} */ (event).ports;
  if (!port) return;
  port.onmessage = ({ data }) => {
    if (data.follow) follow(port, data.follow, data.topics);
    if (data.want) want(port, data.want);
    if (data.leave) leave(port);
    if (data.wake) stream?.wake();
  };
});
