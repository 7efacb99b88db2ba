import { defineConfig } from "vite";

// The page is embedded into the server (web.go), which serves it under a strict
// Content-Security-Policy: nothing inline, nothing from elsewhere.
export default defineConfig({
  base: "./",
  build: {
    outDir: "dist", // public/.gitkeep goes with it, so that the folder stays
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
  },
  server: { proxy: { "/ws": { target: "ws://127.0.0.1:8080", ws: true }, "/demo.json": "http://127.0.0.1:8080" } },
});
