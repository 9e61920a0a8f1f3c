import { Button } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, unwrap } from "../api/client";
import { kindsQuery, objectQuery, queryClient } from "../api/queries";
import type { TenonObject } from "../api/types";
import { asSchema, type Field, fieldsOf, MASK, type Schema } from "../form/schema";
import { millis, pretty } from "../format";
import { Link, navigate, path } from "../router";
import { Confirm } from "../ui/confirm";
import { Icon } from "../ui/icons";
import { Code, CodeBlock, Note, PageTitle, Panel, Pending } from "../ui/parts";
import { Instant } from "../ui/time";

export function ObjectScreen({ kind, name }: { kind: string; name: string }) {
  const object = useQuery(objectQuery(kind, name));
  const kinds = useQuery(kindsQuery);
  const description = kinds.data?.find((each) => each.name === kind);
  return (
    <>
      <PageTitle title={name} crumb={{ text: description?.title ?? kind, href: path("objects", kind) }}>
        {object.data && (
          <>
            {kind === "job" && <Link href={path("jobs", name)}>Runs</Link>}
            {description?.group === "outgoing" && <Ping kind={kind} name={name} />}
            <Remove object={object.data} />
            <Button
              leftSection={<Icon name="edit" size={13} />}
              onClick={() => navigate(path("objects", kind, name, "edit"))}
            >
              Edit
            </Button>
          </>
        )}
      </PageTitle>
      {object.data && description ? (
        <Detail object={object.data} schema={asSchema(description.schema) ?? {}} />
      ) : (
        <Panel>
          <Pending query={object.error ? object : kinds} />
        </Panel>
      )}
    </>
  );
}

function Ping({ kind, name }: { kind: string; name: string }) {
  const ping = useMutation({
    mutationFn: async () =>
      unwrap(await api.POST("/v1/objects/{kind}/{name}/ping", { params: { path: { kind, name } } })),
  });
  const said = ping.data;
  return (
    <>
      {said && !ping.error && (
        <span role="status" className="state" data-level={said.ok ? "ok" : "down"} title={said.detail}>
          {said.ok ? `answered in ${millis(said.duration_ms)}` : said.detail}
        </span>
      )}
      {ping.error && <span className="state" data-level="down">{`${ping.error.message}`}</span>}
      <Button variant="default" loading={ping.isPending} onClick={() => ping.mutate()}>
        Ping
      </Button>
    </>
  );
}

function Remove({ object }: { object: TenonObject }) {
  const [asked, setAsked] = useState(false);
  const { kind, name } = object;
  const remove = useMutation({
    mutationFn: async () =>
      unwrap(
        await api.DELETE("/v1/objects/{kind}/{name}", {
          params: { path: { kind, name }, query: { if_version: object.version } },
        }),
      ),
    onSuccess: async () => {
      await queryClient.invalidateQueries({ queryKey: ["objects", kind] });
      navigate(path("objects", kind));
    },
  });
  return (
    <>
      <Button variant="default" leftSection={<Icon name="trash" size={13} />} onClick={() => setAsked(true)}>
        Delete
      </Button>
      <Confirm
        opened={asked}
        title={`Delete ${name}?`}
        action="Delete"
        danger
        busy={remove.isPending}
        error={remove.error}
        onClose={() => setAsked(false)}
        onConfirm={() => remove.mutate()}
      >
        <p>
          The {kind} <strong>{name}</strong> goes from every server at once.
          {object.manifest && (
            <>
              {" "}
              It comes from <Code>{object.manifest}</Code>: as long as it is in that file, the file's next
              change brings it back.
            </>
          )}
        </p>
      </Confirm>
    </>
  );
}

function Detail({ object, schema }: { object: TenonObject; schema: Schema }) {
  const body = (object.body ?? {}) as Record<string, unknown>;
  const fields = fieldsOf(schema);
  return (
    <>
      {object.manifest && (
        <Note level="unknown">
          From the manifest <Code>{object.manifest}</Code>. What is changed here holds until that file
          changes.
        </Note>
      )}
      <div className="columns columns-wide-left">
        <Panel title="Fields" padded>
          <dl className="fields">
            {fields.map((field) => (
              <FieldValue key={field.name} field={field} value={body[field.name]} />
            ))}
          </dl>
        </Panel>
        <Panel title="Record" padded>
          <dl className="fields">
            <dt>Version</dt>
            <dd>{object.version}</dd>
            <dt>Revision</dt>
            <dd>{object.revision}</dd>
            <dt>Changed</dt>
            <dd>
              <Instant at={object.updated_at} />
            </dd>
            <dt>Manifest</dt>
            <dd>{object.manifest ? <Code>{object.manifest}</Code> : "none"}</dd>
          </dl>
        </Panel>
      </div>
    </>
  );
}

function FieldValue({ field, value }: { field: Field; value: unknown }) {
  return (
    <>
      <dt title={field.description}>{field.label}</dt>
      <dd>{shown(field, value)}</dd>
    </>
  );
}

function shown(field: Field, value: unknown) {
  if (value === undefined || value === null) {
    const fallback = field.schema.default;
    if (fallback === undefined || fallback === null || (Array.isArray(fallback) && fallback.length === 0)) {
      return <span className="quiet">not set</span>;
    }
    const text = typeof fallback === "object" ? JSON.stringify(fallback) : String(fallback);
    return <span className="quiet">{text} (default)</span>;
  }
  if (field.widget === "secret") {
    return <span className="mono">{value === MASK ? "••••••••" : String(value)}</span>;
  }
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (field.service) return <Link href={path("services", String(value))}>{String(value)}</Link>;
  if (Array.isArray(value) && value.every((item) => typeof item !== "object"))
    return value.join(", ") || "none";
  if (typeof value === "object") return <CodeBlock text={pretty(value)} label={field.label} />;
  return String(value);
}
