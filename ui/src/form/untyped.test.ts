import { expect, test } from "vitest";
import { readJson, shownAsJson, takesAnything } from "./untyped";

test("only a schema without a type takes anything", () => {
  expect(takesAnything({ description: "Any." })).toBe(true);
  expect(takesAnything({ type: "object" })).toBe(false);
  expect(takesAnything({ anyOf: [{ type: "object" }] })).toBe(false);
});

test("texts are written as they are, everything else as JSON", () => {
  expect(readJson("anna", true)).toEqual({ value: "anna" });
  expect(readJson("7", true)).toEqual({ value: 7 });
  expect(readJson('{"a": 1}', true)).toEqual({ value: { a: 1 } });
  expect(readJson(" ", true)).toEqual({});
  expect(readJson('{"a": ', true).error).toMatch(/^Not JSON/);
  expect(readJson("anna", false).error).toMatch(/^Not JSON/);
});

test("what is shown reads as the same value", () => {
  for (const value of ["anna", "7", "true", '"', 7, true, null, { a: [1] }]) {
    expect(readJson(shownAsJson(value, true), true)).toEqual({ value });
  }
  expect(shownAsJson(undefined, true)).toBe("");
});
