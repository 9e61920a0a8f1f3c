// Calls a service from the browser: a form where its input is declared, JSON otherwise.
import { Button, Group, NumberInput, SegmentedControl, Stack, Textarea } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, unwrap } from "../api/client";
import type { InvokeReply, ServiceSummary } from "../api/types";
import { asSchema, fieldsOf, type JsonObject } from "../form/schema";
import { SchemaForm } from "../form/schema-form";
import { millis, pretty, shellWord } from "../format";
import { Icon } from "../ui/icons";
import { Code, CodeBlock, Copy, Failure, Panel } from "../ui/parts";
import { State } from "../ui/state";

function parse(text: string): { value?: unknown; error?: string } {
  if (text.trim() === "") return { value: null };
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return { error: `Not JSON: ${(error as Error).message}` };
  }
}

export function Invoke({ service }: { service: ServiceSummary }) {
  const schema = asSchema(service.input);
  const hasForm = schema !== null && fieldsOf(schema).length > 0;
  const [mode, setMode] = useState<"form" | "json">(hasForm ? "form" : "json");
  const [fields, setFields] = useState<JsonObject>({});
  const [text, setText] = useState("");
  const [timeout, setTimeout] = useState<number | undefined>();
  const parsed = mode === "form" ? { value: fields as unknown } : parse(text);
  const invoke = useMutation({
    mutationFn: async (payload: unknown) =>
      unwrap(
        await api.POST("/v1/services/{name}/invoke", {
          params: { path: { name: service.name } },
          body: { payload, timeout_ms: timeout ?? null },
        }),
      ),
  });
  const change = (next: "form" | "json") => {
    if (next === "json") setText(Object.keys(fields).length > 0 ? pretty(fields) : text);
    else if (parsed.value && typeof parsed.value === "object" && !Array.isArray(parsed.value)) {
      setFields(parsed.value as JsonObject);
    }
    setMode(next);
  };
  const submit = (event?: FormEvent) => {
    event?.preventDefault();
    if (!parsed.error) invoke.mutate(parsed.value ?? null);
  };
  const payload = parsed.value == null ? "" : ` --payload ${shellWord(JSON.stringify(parsed.value))}`;
  const command = `tenon service invoke ${shellWord(service.name)}${payload}`;
  return (
    <>
      <Panel
        title="Invoke"
        padded
        aside={
          hasForm && (
            <SegmentedControl
              size="xs"
              value={mode}
              onChange={(next) => change(next as "form" | "json")}
              data={[
                { value: "form", label: "Form" },
                { value: "json", label: "JSON" },
              ]}
            />
          )
        }
      >
        <form
          onSubmit={submit}
          onKeyDown={(event) => {
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
          }}
        >
          <Stack gap="sm">
            {mode === "form" && schema ? (
              <SchemaForm schema={schema} value={fields} onChange={setFields} problems={[]} />
            ) : (
              <Textarea
                label="Payload"
                description="JSON; leave it empty for none"
                autosize
                minRows={6}
                maxRows={24}
                spellCheck={false}
                styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)", fontSize: 12 } }}
                value={text}
                onChange={(event) => setText(event.currentTarget.value)}
                error={parsed.error}
                data-testid="payload"
              />
            )}
            <Group gap="sm" align="end" justify="space-between">
              <NumberInput
                label="Timeout"
                size="xs"
                w={150}
                min={1}
                suffix=" ms"
                placeholder="server's default"
                value={timeout ?? ""}
                onChange={(next) => setTimeout(typeof next === "number" ? next : undefined)}
              />
              <Group gap={6}>
                <Copy text={command} label="Copy as command" />
                <Button
                  type="submit"
                  loading={invoke.isPending}
                  disabled={Boolean(parsed.error)}
                  leftSection={<Icon name="play" size={13} />}
                  title="Ctrl+Enter"
                >
                  Invoke
                </Button>
              </Group>
            </Group>
          </Stack>
        </form>
      </Panel>
      {invoke.error ? <Failure error={invoke.error} title="The call was not answered" /> : null}
      {invoke.data && !invoke.error && <Answer reply={invoke.data} />}
    </>
  );
}

function Answer({ reply }: { reply: InvokeReply }) {
  const level = reply.status >= 500 ? "down" : reply.status >= 400 ? "warning" : "ok";
  const body =
    reply.payload !== undefined && reply.payload !== null ? pretty(reply.payload) : (reply.text ?? "");
  return (
    <Panel title="Answer" aside={<State level={level}>{String(reply.status)}</State>} padded>
      <div data-testid="answer" data-status={reply.status}>
        <dl className="fields" style={{ marginBottom: 12 }}>
          <dt>Took</dt>
          <dd className="tabular">{millis(reply.duration_ms)}</dd>
          <dt>Correlation id</dt>
          <dd>
            <Code>{reply.cid}</Code> <Copy text={reply.cid} label="Copy correlation id" />
          </dd>
          <dt>Media type</dt>
          <dd>{reply.content_type}</dd>
          <dt>Deployment</dt>
          <dd>#{reply.deployment}</dd>
        </dl>
        {body ? (
          <CodeBlock text={body} label="Answer" />
        ) : (
          <span className="quiet">The answer has no body.</span>
        )}
      </div>
    </Panel>
  );
}
