/** What the page at `/` shows beside the badge: each part is one module of its own, and one line here. */
export { PART as applications } from "./applications.js";
export { PART as deployments } from "./deployments.js";
export { PART as executions } from "./executions.js";
export { PART as services } from "./services.js";
