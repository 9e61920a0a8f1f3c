import { expect, test } from "vitest";
import { match, path } from "./router";

test("names in paths come back as they were", () => {
  for (const name of ["api.my-service", "a b", "100%", "ä/ö?#", "%41"]) {
    expect(match("/jobs/:name", path("jobs", name))).toEqual({ name });
  }
});

test("paths of another shape do not match, nor do broken ones", () => {
  expect(match("/jobs/:name", "/jobs")).toBeNull();
  expect(match("/jobs/:name", "/services/a")).toBeNull();
  expect(match("/jobs/:name", "/jobs/%E0%A4%A")).toBeNull();
  expect(match("/", "/")).toEqual({});
});
