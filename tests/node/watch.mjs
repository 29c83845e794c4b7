// A page that watches, as users of socket.io-client write one: tells what it hears, a line of JSON each.
//
//   node watch.mjs URL OPTIONS [EVENT DATA]     EVENT is sent once it is connected
import { createRequire } from "node:module";

const { io } = createRequire(`${process.env.SAFIRE_NODE_MODULES}/`)("socket.io-client");
const [url, options, event, data] = process.argv.slice(2);
const tell = (name, told) => console.log(JSON.stringify([name, told ?? null]));

const socket = io(url, JSON.parse(options));
socket.on("connect", () => {
  tell("connect", socket.io.engine.transport.name);
  if (event) socket.emit(event, JSON.parse(data));
});
socket.on("connect_error", (error) => tell("connect_error", error.message));
socket.on("disconnect", (reason) => tell("disconnect", reason));
socket.onAny(tell);
process.stdin.on("end", () => socket.close()).resume();
