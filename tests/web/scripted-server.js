/** A tiny HTTP server that says on its stream, and answers elsewhere, exactly what a test tells it to. */
import { createServer } from "node:http";
import { once } from "node:events";

/** One open stream, from the server's side. */
export class Open {
  /** @param {import("node:http").ServerResponse} response */
  constructor(response) {
    this.response = response;
    /** @type {Promise<unknown>} */
    this.closed = once(response, "close");
  }

  /** @param {boolean | null} stable */
  says(stable) {
    this.send(`data: ${JSON.stringify({ stable })}\n\n`);
  }

  /** @param {string} name @param {object} data */
  tells(name, data) {
    this.send(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  /** @param {string} text */
  send(text) {
    this.response.write(text);
  }

  /** The connection breaks, without a last chunk. */
  breaks() {
    this.response.destroy();
  }
}

export class ScriptedServer {
  /** What `/api/system-status/live` answers instead of a stream, if anything. @type {number | null} */
  refusal = null;
  /** The same for one address. @type {Record<string, number>} */
  refusals = {};
  /** What other paths answer. @type {Record<string, (response: import("node:http").ServerResponse) => void>} */
  answers = {};
  /** @type {string[]} */ asked = [];
  /** @type {Open[]} */ #arrived = [];
  /** @type {((open: Open) => void)[]} */ #waiting = [];
  #server = createServer((request, response) => this.#serve(String(request.url), response));

  /** @param {import("node:test").TestContext} test */
  static async start(test) {
    const server = new ScriptedServer();
    await server.listen(0);
    test.after(() => server.stop());
    return server;
  }

  /** @param {number} port */
  async listen(port) {
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    this.port = /** @type {import("node:net").AddressInfo} */ (this.#server.address()).port;
    this.base = `http://127.0.0.1:${this.port}/`;
  }

  async stop() {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  /** The next stream that somebody opens. @returns {Promise<Open>} */
  next() {
    const arrived = this.#arrived.shift();
    return arrived ? Promise.resolve(arrived) : new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** @param {string} path @param {import("node:http").ServerResponse} response */
  #serve(path, response) {
    this.asked.push(path);
    const refusal = this.refusals[path] ?? this.refusal;
    if (path !== "/api/system-status/live" && !path.startsWith("/api/live")) {
      const answer = this.answers[path];
      if (answer) answer(response);
      else response.writeHead(404).end();
    } else if (refusal) {
      response.writeHead(refusal).end();
    } else {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      response.write("retry: 20\n\n");
      const open = new Open(response);
      const waiting = this.#waiting.shift();
      if (waiting) waiting(open);
      else this.#arrived.push(open);
    }
  }
}

/** @param {object} value @returns {(response: import("node:http").ServerResponse) => void} */
export const json = (value) => (response) => void response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(value));

/** @param {number} code @returns {(response: import("node:http").ServerResponse) => void} */
export const status = (code) => (response) => void response.writeHead(code).end("{}");
