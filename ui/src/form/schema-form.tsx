// A form made of a JSON Schema: what the server checks is what the form asks for.
import {
  ActionIcon,
  Autocomplete,
  Button,
  Group,
  MultiSelect,
  NumberInput,
  PasswordInput,
  Select,
  Stack,
  Switch,
  TagsInput,
  Textarea,
  TextInput,
} from "@mantine/core";
import { useInfiniteQuery, useQueries } from "@tanstack/react-query";
import { useState } from "react";
import { api, unwrap } from "../api/client";
import { servicesQuery } from "../api/queries";
import type { FieldProblem } from "../api/types";
import { Icon } from "../ui/icons";
import {
  asSchema,
  type Field,
  fieldsOf,
  hintOf,
  type Json,
  type JsonObject,
  MASK,
  problemsOf,
  type Schema,
  withField,
} from "./schema";
import { readJson, shownAsJson, takesAnything } from "./untyped";

interface FormProps {
  schema: Schema;
  root?: Schema;
  value: JsonObject;
  onChange: (value: JsonObject) => void;
  problems: FieldProblem[];
  /** Where this object is in the whole: empty, `retry`, `hosts[0]`. */
  at?: string;
}

export function SchemaForm({ schema, root = schema, value, onChange, problems, at = "" }: FormProps) {
  return (
    <Stack gap="sm">
      {fieldsOf(schema, root).map((field) => (
        <FieldInput
          key={field.name}
          field={field}
          root={root}
          value={value[field.name]}
          onChange={(next) => onChange(withField(value, field.name, next))}
          problems={problems}
          at={at ? `${at}.${field.name}` : field.name}
        />
      ))}
    </Stack>
  );
}

interface InputProps {
  field: Field;
  root: Schema;
  value: Json | undefined;
  onChange: (value: Json | undefined) => void;
  problems: FieldProblem[];
  at: string;
}

/** What all inputs have in common. */
function common({ field, problems, at }: InputProps) {
  return {
    label: field.label,
    description: field.description || undefined,
    error: problemsOf(problems, at),
    required: field.required,
    name: at,
  };
}

function FieldInput(props: InputProps) {
  switch (props.field.widget) {
    case "secret":
      return <SecretInput {...props} />;
    case "integer":
    case "number":
      return <NumberField {...props} />;
    case "boolean":
      return <BooleanField {...props} />;
    case "choice":
      return <ChoiceField {...props} />;
    case "texts":
      return props.field.references.length > 0 ? <ReferencesField {...props} /> : <TextsField {...props} />;
    case "group":
      return <GroupField {...props} />;
    case "list":
      return <ListField {...props} />;
    case "map":
      return <MapField {...props} />;
    case "json":
      return <JsonField {...props} />;
    default:
      if (props.field.service) return <ServiceField {...props} />;
      if (props.field.references.length > 0) return <ReferenceField {...props} />;
      return <TextField {...props} />;
  }
}

function text(value: Json | undefined): string {
  return typeof value === "string" ? value : value == null ? "" : String(value);
}

/** PEM and the like: a line of its own for each line. */
function LongText(props: InputProps & { placeholder?: string | undefined; shown: string }) {
  return (
    <Textarea
      {...common(props)}
      description={props.field.description || undefined}
      placeholder={props.placeholder}
      value={props.shown}
      onChange={(event) => props.onChange(event.currentTarget.value || undefined)}
      minRows={3}
      maxRows={12}
      autosize
      spellCheck={false}
      autoComplete="off"
      styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)" } }}
    />
  );
}

function TextField(props: InputProps) {
  if (props.field.schema["x-tenon-multiline"]) {
    return <LongText {...props} shown={text(props.value)} placeholder={hintOf(props.field.schema)} />;
  }
  return (
    <TextInput
      {...common(props)}
      placeholder={hintOf(props.field.schema)}
      value={text(props.value)}
      onChange={(event) => props.onChange(event.currentTarget.value || undefined)}
      spellCheck={false}
      autoComplete="off"
    />
  );
}

function SecretInput(props: InputProps) {
  const kept = props.value === MASK;
  if (props.field.schema["x-tenon-multiline"]) {
    return (
      <LongText {...props} shown={kept ? "" : text(props.value)} placeholder={kept ? "unchanged" : ""} />
    );
  }
  const { description, ...rest } = common(props);
  return (
    <PasswordInput
      {...rest}
      required={props.field.required && !kept}
      withAsterisk={props.field.required}
      description={`${description ? `${description} ` : ""}A value, secret:NAME or \${VARIABLE}.`}
      placeholder={kept ? "unchanged" : ""}
      value={kept ? "" : text(props.value)}
      onChange={(event) => props.onChange(event.currentTarget.value || undefined)}
      autoComplete="new-password"
    />
  );
}

function NumberField(props: InputProps) {
  const { schema, widget } = props.field;
  return (
    <NumberInput
      {...common(props)}
      placeholder={hintOf(schema)}
      allowDecimal={widget === "number"}
      min={schema.minimum}
      max={schema.maximum}
      clampBehavior="none"
      value={typeof props.value === "number" ? props.value : ""}
      onChange={(next) => props.onChange(typeof next === "number" ? next : undefined)}
    />
  );
}

function BooleanField(props: InputProps) {
  const { required: _, ...rest } = common(props);
  const shown = typeof props.value === "boolean" ? props.value : props.field.schema.default === true;
  return (
    <Switch {...rest} checked={shown} onChange={(event) => props.onChange(event.currentTarget.checked)} />
  );
}

function ChoiceField(props: InputProps) {
  return (
    <Select
      {...common(props)}
      data={props.field.choices}
      placeholder={hintOf(props.field.schema)}
      clearable={!props.field.required}
      value={text(props.value) || null}
      onChange={(next) => props.onChange(next ?? undefined)}
    />
  );
}

function texts(value: Json | undefined): string[] {
  return Array.isArray(value) ? value.map((item) => text(item)) : [];
}

function TextsField(props: InputProps) {
  return (
    <TagsInput
      {...common(props)}
      value={texts(props.value)}
      placeholder="Enter adds one"
      acceptValueOnBlur
      onChange={(next) => props.onChange(next.length > 0 ? next : undefined)}
    />
  );
}

/** The names of the objects of these kinds. */
function useNames(kinds: string[]): string[] {
  return useQueries({
    queries: kinds.map((kind) => ({
      queryKey: ["object-names", kind],
      queryFn: async () =>
        unwrap(await api.GET("/v1/objects", { params: { query: { kind, limit: 1000 } } })).items.map(
          (object) => object.name,
        ),
      staleTime: 10_000,
    })),
    combine: (results) => [...new Set(results.flatMap((result) => result.data ?? []))],
  });
}

function ReferencesField(props: InputProps) {
  const names = useNames(props.field.references);
  const chosen = texts(props.value);
  return (
    <MultiSelect
      {...common(props)}
      data={[...new Set([...names, ...chosen])]}
      value={chosen}
      placeholder={chosen.length > 0 ? undefined : "none"}
      nothingFoundMessage={`There is no ${props.field.references.join(" or ")} of that name`}
      searchable
      onChange={(next) => props.onChange(next.length > 0 ? next : undefined)}
    />
  );
}

function ReferenceField(props: InputProps) {
  const names = useNames(props.field.references);
  const chosen = text(props.value);
  return (
    <Select
      {...common(props)}
      data={[...new Set([...names, ...(chosen ? [chosen] : [])])]}
      value={chosen || null}
      clearable={!props.field.required}
      nothingFoundMessage={`There is no ${props.field.references.join(" or ")} of that name`}
      searchable
      onChange={(next) => props.onChange(next ?? undefined)}
    />
  );
}

function ServiceField(props: InputProps) {
  const services = useInfiniteQuery(servicesQuery);
  const names = services.data?.pages.flatMap((page) => page.items.map((service) => service.name)) ?? [];
  return (
    <Autocomplete
      {...common(props)}
      data={names}
      limit={50}
      value={text(props.value)}
      onChange={(next) => props.onChange(next || undefined)}
    />
  );
}

function object(value: Json | undefined): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
}

function GroupField(props: InputProps) {
  const { field, root, problems, at } = props;
  return (
    <fieldset className="fieldset">
      <legend>{field.label}</legend>
      {field.description && <p className="quiet">{field.description}</p>}
      <SchemaForm
        schema={field.schema}
        root={root}
        value={object(props.value)}
        onChange={(next) => props.onChange(Object.keys(next).length > 0 ? next : undefined)}
        problems={problems}
        at={at}
      />
    </fieldset>
  );
}

function ListField(props: InputProps) {
  const { field, root, problems, at } = props;
  const items = asSchema(field.schema.items) ?? {};
  const list = Array.isArray(props.value) ? props.value : [];
  const set = (next: Json[]) => props.onChange(next.length > 0 ? next : undefined);
  return (
    <fieldset className="fieldset">
      <legend>{field.label}</legend>
      {field.description && <p className="quiet">{field.description}</p>}
      <Stack gap="sm">
        {list.map((item, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the items have no identity but their place
          <fieldset className="fieldset" key={index}>
            <legend>
              {field.label} {index + 1}{" "}
              <ActionIcon
                size="xs"
                variant="subtle"
                color="gray"
                aria-label={`Remove ${field.label} ${index + 1}`}
                onClick={() => set(list.filter((_, other) => other !== index))}
              >
                <Icon name="trash" size={13} />
              </ActionIcon>
            </legend>
            <SchemaForm
              schema={items}
              root={root}
              value={object(item)}
              onChange={(next) => set(list.map((old, other) => (other === index ? next : old)))}
              problems={problems}
              at={`${at}[${index}]`}
            />
          </fieldset>
        ))}
        <Button
          variant="default"
          leftSection={<Icon name="plus" size={13} />}
          onClick={() => set([...list, {}])}
          style={{ alignSelf: "start" }}
        >
          Add
        </Button>
      </Stack>
    </fieldset>
  );
}

/** Names and texts, such as headers. Rows are kept apart from the value, so that a name can be typed letter by letter. */
function MapField(props: InputProps) {
  const { field } = props;
  const [rows, setRows] = useState(() =>
    Object.entries(object(props.value)).map(([key, value]) => [key, text(value)]),
  );
  const set = (next: string[][]) => {
    setRows(next);
    const named = next.filter(([key]) => key);
    props.onChange(named.length > 0 ? Object.fromEntries(named) : undefined);
  };
  return (
    <fieldset className="fieldset">
      <legend>{field.label}</legend>
      {field.description && <p className="quiet">{field.description}</p>}
      <Stack gap={6}>
        {rows.map(([key = "", value = ""], index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the rows have no identity but their place
          <Group key={index} gap={6} wrap="nowrap">
            <TextInput
              aria-label={`${field.label} ${index + 1} name`}
              placeholder="name"
              value={key}
              onChange={(event) => set(rows.with(index, [event.currentTarget.value, value]))}
            />
            <TextInput
              aria-label={`${field.label} ${index + 1} value`}
              placeholder="value"
              style={{ flex: 1 }}
              value={value}
              onChange={(event) => set(rows.with(index, [key, event.currentTarget.value]))}
            />
            <ActionIcon
              variant="subtle"
              color="gray"
              aria-label={`Remove ${field.label} ${index + 1}`}
              onClick={() => set(rows.toSpliced(index, 1))}
            >
              <Icon name="trash" size={14} />
            </ActionIcon>
          </Group>
        ))}
        <Button
          variant="default"
          leftSection={<Icon name="plus" size={13} />}
          onClick={() => set([...rows, ["", ""]])}
          style={{ alignSelf: "start" }}
        >
          Add
        </Button>
      </Stack>
    </fieldset>
  );
}

function JsonField(props: InputProps) {
  const takesText = takesAnything(props.field.schema);
  const [raw, setRaw] = useState(() => shownAsJson(props.value, takesText));
  const [wrong, setWrong] = useState<string>();
  const change = (next: string) => {
    setRaw(next);
    const read = readJson(next, takesText);
    setWrong(read.error);
    if (!read.error) props.onChange(read.value);
  };
  const shared = common(props);
  return (
    <Textarea
      {...shared}
      error={wrong ?? shared.error}
      autosize
      minRows={takesText ? 1 : 2}
      placeholder={takesText ? "text or JSON" : "JSON"}
      spellCheck={false}
      styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)", fontSize: 12 } }}
      value={raw}
      onChange={(event) => change(event.currentTarget.value)}
    />
  );
}
