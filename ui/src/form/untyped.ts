// Values that may be anything: texts are written as they are, everything else as JSON.
import { pretty } from "../format";
import type { Json, Schema } from "./schema";

/** Whether a schema says nothing of the type, as that of a service's element that is declared by its name alone. */
export function takesAnything(schema: Schema): boolean {
  return ["type", "anyOf", "oneOf", "allOf", "$ref"].every((key) => !(key in schema));
}

/** What was typed. What is not JSON is a text where one may be, unless it begins as only JSON does. */
export function readJson(text: string, takesText: boolean): { value?: Json; error?: string } {
  if (text.trim() === "") return {};
  try {
    return { value: JSON.parse(text) as Json };
  } catch (error) {
    if (takesText && !/^\s*[{["]/.test(text)) return { value: text };
    return { error: `Not JSON: ${(error as Error).message}` };
  }
}

/** A value as it would be typed. */
export function shownAsJson(value: Json | undefined, takesText: boolean): string {
  if (value === undefined) return "";
  const isText = takesText && typeof value === "string" && readJson(value, true).value === value;
  return isText ? value : pretty(value);
}
