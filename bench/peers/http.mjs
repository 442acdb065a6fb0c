// Node's own http module, a set of responses: `node http.mjs PORT FRAME`
import { createServer } from "node:http";

const [port, frame] = process.argv.slice(2);
const clients = new Set();
process.on("SIGUSR2", () => {
  for (const client of clients) client.write(frame);
});
process.on("SIGTERM", () => process.exit());
const server = createServer((request, response) => {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
  response.flushHeaders();
  clients.add(response);
  request.on("close", () => clients.delete(response));
});
server.listen({ port: Number(port), host: "127.0.0.1", backlog: 4096 });
