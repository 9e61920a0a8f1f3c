import { expect, test } from "vitest";
import {
  fieldsOf,
  labelOf,
  otherProblems,
  problemsOf,
  resolve,
  type Schema,
  typeText,
  withField,
} from "./schema";

const KIND: Schema = {
  type: "object",
  required: ["url"],
  properties: {
    method: { description: "Which.", anyOf: [{ type: "string", enum: ["GET", "POST"] }, { type: "null" }] },
    format: { oneOf: [{ const: "json", description: "JSON." }, { const: "raw" }], default: "json" },
    password: { anyOf: [{ type: "string", "x-tenon-secret": true }, { type: "null" }] },
    security: { type: "array", items: { type: "string" }, "x-tenon-reference": ["api-key"] },
    retry: { $ref: "#/$defs/Retry", description: "When it fails." },
    hosts: { type: "array", items: { $ref: "#/$defs/Retry" } },
    headers: { type: "object", additionalProperties: { type: "string" } },
    limit: { type: ["integer", "null"] },
    ratio: { type: "number" },
    on: { type: "boolean" },
    payload: {},
    url: { type: "string" },
  },
  $defs: { Retry: { type: "object", properties: { attempts: { type: "integer" } } } },
};

test("each field of a kind gets the input that fits, required ones first", () => {
  const fields = fieldsOf(KIND);
  expect(fields.map((field) => `${field.name}:${field.widget}`)).toEqual([
    "url:text",
    "method:choice",
    "format:choice",
    "password:secret",
    "security:texts",
    "retry:group",
    "hosts:list",
    "headers:map",
    "limit:integer",
    "ratio:number",
    "on:boolean",
    "payload:json",
  ]);
  const by = Object.fromEntries(fields.map((field) => [field.name, field]));
  expect(by.method?.choices.map((choice) => choice.value)).toEqual(["GET", "POST"]);
  expect(by.format?.choices[0]?.label).toBe("json – JSON.");
  expect(by.security?.references).toEqual(["api-key"]);
  expect(by.retry?.description).toBe("When it fails.");
  expect(by.url?.required).toBe(true);
});

test("a reference that goes in circles ends", () => {
  const root: Schema = { $defs: { A: { $ref: "#/$defs/A" } } };
  expect(() => resolve({ $ref: "#/$defs/A" }, root)).not.toThrow();
});

test("types are told in words", () => {
  expect(typeText({ type: "array", items: { type: ["string", "null"] } }, {})).toBe("list of string");
  expect(typeText({ enum: ["a", "b"] }, {})).toBe("a | b");
});

test("an emptied field is left out, so that its default applies", () => {
  expect(withField({ a: 1, b: 2 }, "a", undefined)).toEqual({ b: 2 });
});

test("problems go to their fields, the others are shown apart", () => {
  const problems = [
    { field: "security[0]", message: "there is no api-key x" },
    { field: "retry.attempts", message: "at least 1" },
    { field: "", message: "either cron or every" },
    { field: "urll", message: "unknown" },
  ];
  expect(problemsOf(problems, "security")).toBe("there is no api-key x");
  expect(problemsOf(problems, "retry.attempts")).toBe("at least 1");
  expect(problemsOf(problems, "retry")).toBeUndefined();
  expect(otherProblems(problems, KIND).map(({ field }) => field)).toEqual(["", "urll"]);
});

test("labels are the field's own words", () => {
  expect(["body_limit_bytes", "base_url", "api-key"].map(labelOf)).toEqual([
    "Body limit bytes",
    "Base URL",
    "API key",
  ]);
});
