import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

// `npm run dev` serves the interface and sends API calls to the mock server or to a dashboard that runs.
const api = process.env.TENON_DASHBOARD ?? "http://127.0.0.1:8190";

/** Compresses scripts and styles once, here, so that the dashboard never has to. */
function compressed(): Plugin {
  return {
    name: "compressed",
    apply: "build",
    async writeBundle({ dir = "dist" }) {
      const assets = join(dir, "assets");
      const files = (await readdir(assets)).filter((file) => /\.(js|css)$/.test(file));
      for (const file of files) {
        const content = await readFile(join(assets, file));
        await writeFile(join(assets, `${file}.gz`), await promisify(gzip)(content, { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  plugins: [react(), compressed()],
  build: {
    target: "es2022",
    // Fonts and images as files: the content security policy allows no data: fonts, and hashed files are cached for good.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
  },
  server: { proxy: { "/api": { target: api, changeOrigin: true } } },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
