// JSON Schema as far as kinds and services use it, turned into fields. Pure functions; the components are beside this file.
import type { FieldProblem } from "../api/types";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json | undefined };
export type JsonObject = { [key: string]: Json | undefined };

/** The part of JSON Schema 2020-12 that is understood. */
export interface Schema {
  $ref?: string;
  $defs?: Record<string, Schema>;
  title?: string;
  description?: string;
  type?: string | string[];
  const?: Json;
  enum?: Json[];
  default?: Json;
  examples?: Json[];
  format?: string;
  pattern?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  items?: boolean | Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  writeOnly?: boolean;
  "x-tenon-multiline"?: boolean;
  "x-tenon-secret"?: boolean;
  "x-tenon-service"?: boolean;
  "x-tenon-reference"?: string[];
}

/** What a secret reads as; sent back, it keeps its value. */
export const MASK = "********";

export type Widget =
  | "text"
  | "secret"
  | "number"
  | "integer"
  | "boolean"
  | "choice"
  | "texts"
  | "list"
  | "group"
  | "map"
  | "json";

export interface Field {
  name: string;
  label: string;
  description: string;
  required: boolean;
  /** The schema with references resolved and the null alternative taken away. */
  schema: Schema;
  widget: Widget;
  choices: { value: string; label: string }[];
  /** The kinds of objects that it may name. */
  references: string[];
  service: boolean;
}

export function asSchema(value: unknown): Schema | null {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Schema) : null;
}

/** The schema itself: references followed, `X or null` reduced to `X`, single `allOf` unfolded. */
export function resolve(schema: Schema, root: Schema): Schema {
  let current = schema;
  for (let depth = 0; depth < 16; depth += 1) {
    const next = step(current, root);
    if (!next) return current;
    const { description, default: fallback, ...marks } = current;
    delete marks.$ref;
    delete marks.anyOf;
    delete marks.oneOf;
    delete marks.allOf;
    current = {
      ...marks,
      ...next,
      description: description ?? next.description,
      default: fallback ?? next.default,
    };
  }
  return current;
}

function step(schema: Schema, root: Schema): Schema | null {
  if (schema.$ref?.startsWith("#/$defs/")) {
    return root.$defs?.[decodeURIComponent(schema.$ref.slice("#/$defs/".length))] ?? null;
  }
  for (const key of ["anyOf", "oneOf", "allOf"] as const) {
    const parts = schema[key]?.filter((part) => part.type !== "null");
    if (parts?.length === 1 && parts[0]) return parts[0];
  }
  return null;
}

function typeOf(schema: Schema): string | undefined {
  if (!Array.isArray(schema.type)) return schema.type;
  const types = schema.type.filter((type) => type !== "null");
  return types.length === 1 ? types[0] : undefined;
}

function choicesOf(schema: Schema): Field["choices"] {
  const text = (value: Json) => ({ value: String(value), label: String(value) });
  if (schema.enum) return schema.enum.filter((value) => value !== null).map(text);
  const parts = schema.oneOf ?? schema.anyOf ?? [];
  if (parts.length > 0 && parts.every((part) => part.const !== undefined || part.enum)) {
    return parts.flatMap((part) => {
      const values = part.enum ?? [part.const as Json];
      return values.map((value) => ({
        value: String(value),
        label: part.description ? `${value} – ${part.description}` : String(value),
      }));
    });
  }
  return [];
}

function widgetOf(schema: Schema, root: Schema, choices: Field["choices"]): Widget {
  if (schema["x-tenon-secret"]) return "secret";
  if (choices.length > 0) return "choice";
  switch (typeOf(schema)) {
    case "string":
      return "text";
    case "integer":
      return "integer";
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    case "array": {
      const items = asSchema(schema.items);
      if (!items) return "json";
      const item = resolve(items, root);
      if (typeOf(item) === "string" && !item["x-tenon-secret"]) return "texts";
      return item.properties ? "list" : "json";
    }
    case "object": {
      if (schema.properties && Object.keys(schema.properties).length > 0) return "group";
      const values = asSchema(schema.additionalProperties);
      return values && typeOf(resolve(values, root)) === "string" ? "map" : "json";
    }
    default:
      return "json";
  }
}

const ABBREVIATIONS = new Set(["api", "ca", "http", "https", "id", "ip", "json", "sql", "tls", "uri", "url"]);

/** `body_limit_bytes` → `Body limit bytes`, `base_url` → `Base URL`. */
export function labelOf(name: string): string {
  const words = name.split(/[_-]+/).filter(Boolean);
  const text = words.map((word) => (ABBREVIATIONS.has(word) ? word.toUpperCase() : word)).join(" ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The fields of an object schema, required ones first, otherwise in the schema's order. */
export function fieldsOf(schema: Schema, root: Schema = schema): Field[] {
  const object = resolve(schema, root);
  const required = new Set(object.required ?? []);
  const fields = Object.entries(object.properties ?? {}).map(([name, raw]): Field => {
    const own = resolve(raw, root);
    const choices = choicesOf(own);
    const items = asSchema(own.items);
    return {
      name,
      label: labelOf(name),
      description: (own.description ?? "").trim(),
      required: required.has(name),
      schema: own,
      widget: widgetOf(own, root, choices),
      choices,
      references: own["x-tenon-reference"] ?? items?.["x-tenon-reference"] ?? [],
      service: Boolean(own["x-tenon-service"]),
    };
  });
  return [...fields.filter((field) => field.required), ...fields.filter((field) => !field.required)];
}

/** What a field gets if it is left empty, as a hint. */
export function hintOf(schema: Schema): string {
  const fallback = schema.default;
  if (fallback !== undefined && fallback !== null && fallback !== "" && typeof fallback !== "object") {
    return String(fallback);
  }
  const example = schema.examples?.[0];
  return typeof example === "string" || typeof example === "number" ? `such as ${example}` : "";
}

/** A type in a word or two, for people. */
export function typeText(schema: Schema, root: Schema): string {
  const own = resolve(schema, root);
  const choices = choicesOf(own);
  if (choices.length > 0) return choices.map((choice) => choice.value).join(" | ");
  const type = typeOf(own);
  if (type === "array") {
    const items = asSchema(own.items);
    return items ? `list of ${typeText(items, root)}` : "list";
  }
  if (own.format) return `${type ?? "any"} (${own.format})`;
  return type ?? "any";
}

/** A copy of the object with the field set, or taken away if the value is empty. */
export function withField(object: JsonObject, name: string, value: Json | undefined): JsonObject {
  const next = { ...object };
  if (value === undefined) delete next[name];
  else next[name] = value;
  return next;
}

/** The problems of one field, by its path; `security[0]` belongs to `security`. */
export function problemsOf(problems: FieldProblem[], path: string): string | undefined {
  const own = problems.filter(
    ({ field }) => field === path || (field.startsWith(path) && /^\[\d+\]$/.test(field.slice(path.length))),
  );
  return own.length > 0 ? own.map(({ message }) => message).join("; ") : undefined;
}

/** The problems that no field of the form shows. */
export function otherProblems(problems: FieldProblem[], schema: Schema): FieldProblem[] {
  const names = new Set(Object.keys(resolve(schema, schema).properties ?? {}));
  return problems.filter(({ field }) => !names.has(field.split(/[.[]/)[0] ?? ""));
}

/** The fields that say most about an object in a list: required texts first. */
export function telling(schema: Schema): string[] {
  return fieldsOf(schema)
    .filter((field) => ["text", "choice", "texts"].includes(field.widget))
    .slice(0, 3)
    .map((field) => field.name);
}
