// better-sse as its documentation shows it, a session per client in one channel: `node better_sse.mjs PORT FRAME`
import { createServer } from "node:http";
import { createChannel, createSession } from "better-sse";

const [port, frame] = process.argv.slice(2);
const told = JSON.parse(frame.slice("data: ".length));
const channel = createChannel();
process.on("SIGUSR2", () => channel.broadcast(told));
process.on("SIGTERM", () => process.exit());
const server = createServer(async (request, response) => {
  channel.register(await createSession(request, response));
});
server.listen({ port: Number(port), host: "127.0.0.1", backlog: 4096 });
