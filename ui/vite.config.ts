import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// `npm run dev` serves the interface and sends API calls to the mock server or to a dashboard that runs.
const api = process.env.TENON_DASHBOARD ?? "http://127.0.0.1:8190";

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    // Fonts and images as files: the content security policy allows no data: fonts, and hashed files are cached for good.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
  },
  server: { proxy: { "/api": { target: api, changeOrigin: true } } },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
