/** Runs as a SharedWorker, named for its server: owns the one stream and tells every tab what it hears. */
import { Stream } from "./stream.js";

/** @type {Set<MessagePort>} */
const ports = new Set();
/** @type {Stream | null} */
let stream = null;

/** @param {MessagePort} port @param {string} base */
function follow(port, base) {
  ports.add(port);
  if (!stream) {
    stream = new Stream(base, (snapshot) => ports.forEach((each) => each.postMessage({ snapshot })));
    stream.start();
  }
  const { snapshot } = stream;
  port.postMessage(snapshot.beat ? { snapshot } : {});
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
    if (data.follow) follow(port, data.follow);
    if (data.leave) leave(port);
    if (data.wake) stream?.wake();
  };
});
