import { expect, test } from "vitest";
import { bytes, count, millis, relative, seconds, shellWord } from "./format";

test("durations show their two largest units", () => {
  expect([0, 59, 60, 3725, 90_061].map(seconds)).toEqual(["0s", "59s", "1m", "1h 2m", "1d 1h"]);
  expect([0.4217, 9.9, 12.4, 1234, 90_000].map(millis)).toEqual([
    "0.42 ms",
    "9.9 ms",
    "12 ms",
    "1.23 s",
    "1m 30s",
  ]);
});

test("sizes are read at a glance", () => {
  expect([0, 999, 1024, 157_286_400].map(bytes)).toEqual(["0 B", "999 B", "1.0 kB", "150 MB"]);
});

test("instants are told from now, before and after", () => {
  const now = Date.parse("2026-11-23T12:00:00Z");
  expect(relative("2026-11-23T11:59:48Z", now)).toBe("12s ago");
  expect(relative("2026-11-23T12:03:00.000Z", now)).toBe("in 3m");
  expect(relative("2026-11-23T12:00:00.300Z", now)).toBe("now");
  expect(relative("what?", now)).toBe("what?");
});

test("counts agree with their nouns", () => {
  expect([count(1, "file"), count(0, "file"), count(12_000, "service")]).toEqual([
    "1 file",
    "0 files",
    "12,000 services",
  ]);
});

test("words survive a shell", () => {
  expect(shellWord("api.my-service")).toBe("api.my-service");
  expect(shellWord(`{"a":"it's"}`)).toBe(`'{"a":"it'\\''s"}'`);
});
