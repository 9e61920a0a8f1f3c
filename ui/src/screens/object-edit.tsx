// Creates and changes objects with a form made of their kind's schema.
import { Button, Group, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ApiError, api, unwrap } from "../api/client";
import { kindsQuery, objectQuery, queryClient } from "../api/queries";
import type { KindDescription, TenonObject } from "../api/types";
import { asSchema, fieldsOf, type JsonObject, otherProblems } from "../form/schema";
import { SchemaForm } from "../form/schema-form";
import { navigate, path } from "../router";
import { Code, Empty, Failure, Note, PageTitle, Panel, Pending } from "../ui/parts";

/** How long a write waits for all servers to serve it before it is answered all the same. */
const WAIT_MS = 3000;

export function NewObjectScreen({ kind }: { kind: string }) {
  const kinds = useQuery(kindsQuery);
  const description = kinds.data?.find((each) => each.name === kind);
  return (
    <>
      <PageTitle
        title={`New ${description?.title ?? kind}`}
        crumb={{ text: description?.title ?? kind, href: path("objects", kind) }}
      />
      <Panel padded={Boolean(description)}>
        {description ? (
          <Editor kind={description} />
        ) : kinds.data ? (
          <Empty title={`There is no kind ${kind}`} />
        ) : (
          <Pending query={kinds} />
        )}
      </Panel>
    </>
  );
}

export function EditObjectScreen({ kind, name }: { kind: string; name: string }) {
  const kinds = useQuery(kindsQuery);
  const object = useQuery({ ...objectQuery(kind, name), staleTime: 0, refetchOnWindowFocus: false });
  const description = kinds.data?.find((each) => each.name === kind);
  return (
    <>
      <PageTitle title={`Edit ${name}`} crumb={{ text: name, href: path("objects", kind, name) }} />
      <Panel padded={Boolean(description && object.data)}>
        {description && object.data ? (
          <Editor key={object.data.version} kind={description} object={object.data} />
        ) : (
          <Pending query={object.error ? object : kinds} />
        )}
      </Panel>
    </>
  );
}

/** Fields that a link hands over: `/new/rest-channel?service=api.hello`. */
function prefilled(kind: KindDescription): JsonObject {
  const params = new URLSearchParams(location.search);
  const fields = fieldsOf(asSchema(kind.schema) ?? {}).filter((field) => field.widget === "text");
  return Object.fromEntries(
    fields
      .filter((field) => params.has(field.name))
      .map((field) => [field.name, params.get(field.name) ?? ""]),
  );
}

function Editor({ kind, object }: { kind: KindDescription; object?: TenonObject }) {
  const schema = asSchema(kind.schema) ?? {};
  const [name, setName] = useState(object?.name ?? kind.only_name ?? "");
  const [body, setBody] = useState<JsonObject>(() =>
    object ? (object.body as JsonObject) : prefilled(kind),
  );
  const save = useMutation({
    mutationFn: async () =>
      unwrap(
        await api.PUT("/v1/objects/{kind}/{name}", {
          params: {
            path: { kind: kind.name, name },
            query: { if_version: object?.version ?? 0, wait_ms: WAIT_MS },
          },
          body: { body },
        }),
      ),
    onSuccess: async () => {
      await queryClient.invalidateQueries({ queryKey: ["objects", kind.name] });
      await queryClient.invalidateQueries({ queryKey: ["object", kind.name, name] });
      navigate(path("objects", kind.name, name));
    },
  });
  const error = save.error instanceof ApiError ? save.error : null;
  const conflict = error?.status === 409 || error?.status === 412;
  const problems = error?.fields ?? [];
  const loose = otherProblems(problems, schema);
  const cancelTo = object ? path("objects", kind.name, object.name) : path("objects", kind.name);
  return (
    <form
      className="form"
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate();
      }}
    >
      {object?.manifest && (
        <Note level="warning">
          This object comes from <Code>{object.manifest}</Code>. Change it there to make it last: the file's
          next change overwrites what is saved here.
        </Note>
      )}
      <TextInput
        label="Name"
        description={
          object
            ? "A name is the object's identity and does not change."
            : kind.only_name
              ? "There is one object of this kind."
              : "Unique among objects of this kind"
        }
        required
        maxLength={200}
        disabled={Boolean(object ?? kind.only_name)}
        autoFocus={!object && !kind.only_name}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <SchemaForm schema={schema} value={body} onChange={setBody} problems={problems} />
      {conflict && (
        <Note level="warning" title={object ? "Somebody else changed it meanwhile" : "The name is taken"}>
          {object ? (
            <div>
              Your changes are not saved.{" "}
              <Button
                variant="light"
                onClick={() => queryClient.invalidateQueries({ queryKey: ["object", kind.name, name] })}
              >
                Load the newer version
              </Button>
            </div>
          ) : (
            <div>Choose another, or edit the object that has it.</div>
          )}
        </Note>
      )}
      {save.error && !conflict && (problems.length === 0 || loose.length > 0) ? (
        <Failure error={save.error} />
      ) : null}
      {problems.length > loose.length && <Note level="down">The marked fields are not right yet.</Note>}
      <Group justify="flex-end" gap="xs">
        <Button variant="default" onClick={() => navigate(cancelTo)}>
          Cancel
        </Button>
        <Button type="submit" loading={save.isPending}>
          {object ? "Save" : "Create"}
        </Button>
      </Group>
    </form>
  );
}
