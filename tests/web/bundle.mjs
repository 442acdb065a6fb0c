/** Prints one browser module that holds React and its renderer: the host page's React, for the hook's tests. */
import { build } from "esbuild";

const { outputFiles } = await build({
  stdin: {
    contents: `export { StrictMode, createElement, useSyncExternalStore } from "react"; export { createRoot } from "react-dom/client";`,
    resolveDir: import.meta.dirname,
  },
  bundle: true,
  format: "esm",
  define: { "process.env.NODE_ENV": '"development"' },
  write: false,
});
process.stdout.write(outputFiles[0].text);
