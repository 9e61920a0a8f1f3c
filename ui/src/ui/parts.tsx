// The small parts that every screen is made of.
import { ActionIcon, Button, CopyButton, Loader, TextInput, Title, Tooltip } from "@mantine/core";
import { type ReactNode, useEffect, useRef } from "react";
import { ApiError } from "../api/client";
import { Link, navigate } from "../router";
import { Icon } from "./icons";

export function PageTitle(props: {
  title: string;
  crumb?: { text: string; href: string };
  children?: ReactNode;
}) {
  useEffect(() => {
    document.title = `${props.title} · Tenon`;
  }, [props.title]);
  return (
    <div className="page-title">
      <div>
        {props.crumb && (
          <Link className="crumb" href={props.crumb.href}>
            ← {props.crumb.text}
          </Link>
        )}
        <Title order={1}>{props.title}</Title>
      </div>
      <div className="page-actions">{props.children}</div>
    </div>
  );
}

export function Panel(props: { title?: string; aside?: ReactNode; children: ReactNode; padded?: boolean }) {
  return (
    <section className="panel" aria-label={props.title}>
      {props.title && (
        <div className="panel-title">
          <Title order={2}>{props.title}</Title>
          <div className="page-actions">{props.aside}</div>
        </div>
      )}
      {props.padded ? <div className="panel-body">{props.children}</div> : props.children}
    </section>
  );
}

/** A figure with its name above it; several stand in a row of class `facts`. */
export function Fact({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div className="fact">
      <span className="fact-label">{label}</span>
      <span className="fact-value">{children}</span>
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <Title order={2}>{title}</Title>
      {children}
    </div>
  );
}

/** Something to know before going on. */
export function Note(props: { level: "unknown" | "warning" | "down"; title?: string; children?: ReactNode }) {
  return (
    <div className="note" data-level={props.level} role={props.level === "unknown" ? undefined : "alert"}>
      {props.title && <strong>{props.title}</strong>}
      {props.children}
    </div>
  );
}

/** What went wrong, and the correlation id to find it by in the logs. */
export function Failure({ error, title }: { error: unknown; title?: string }) {
  const known = error instanceof ApiError ? error : null;
  const message = error instanceof Error ? error.message : String(error);
  const heading = title ?? known?.title ?? "Something went wrong";
  return (
    <Note level="down" title={heading}>
      {message !== heading && <div>{message}</div>}
      {known && known.fields.length > 0 && (
        <ul>
          {known.fields.map((problem) => (
            <li key={problem.field + problem.message}>
              {problem.field && <Code>{problem.field}</Code>} {problem.message}
            </li>
          ))}
        </ul>
      )}
      {known?.cid && (
        <div className="quiet">
          Correlation id <Code>{known.cid}</Code>
        </div>
      )}
    </Note>
  );
}

export function Code({ children }: { children: ReactNode }) {
  return <code className="inline-code">{children}</code>;
}

export function Copy({ text, label }: { text: string; label: string }) {
  return (
    <CopyButton value={text}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? "Copied" : label}>
          <ActionIcon
            variant="subtle"
            color={copied ? "teal" : "gray"}
            size="sm"
            onClick={copy}
            aria-label={label}
          >
            <Icon name={copied ? "check" : "copy"} size={14} />
          </ActionIcon>
        </Tooltip>
      )}
    </CopyButton>
  );
}

export function CodeBlock({ text, label }: { text: string; label: string }) {
  return (
    <div className="code-box">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a block that scrolls must be reachable by keyboard */}
      <section className="code" tabIndex={0} aria-label={label}>
        <pre>{text}</pre>
      </section>
      <div className="code-copy">
        <Copy text={text} label={`Copy ${label.toLowerCase()}`} />
      </div>
    </div>
  );
}

/** The filter of a list; `/` goes to it from anywhere on the page. */
export function Filter(props: { value: string; onChange: (value: string) => void; label: string }) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const focus = (event: KeyboardEvent) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || isTyping(event.target)) return;
      event.preventDefault();
      input.current?.focus();
      input.current?.select();
    };
    addEventListener("keydown", focus);
    return () => removeEventListener("keydown", focus);
  }, []);
  return (
    <TextInput
      ref={input}
      w={260}
      size="xs"
      type="search"
      value={props.value}
      onChange={(event) => props.onChange(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key === "Escape") {
          props.onChange("");
          event.currentTarget.blur();
        }
      }}
      placeholder="Filter"
      aria-label={props.label}
      leftSection={<Icon name="search" size={14} />}
      rightSection={<kbd className="mono quiet">/</kbd>}
    />
  );
}

export function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

/** A row that goes somewhere: the link in it is the real one, the row only makes the target larger. */
export function rowTo(href: string) {
  return {
    "data-clickable": true,
    onClick: (event: React.MouseEvent) => {
      const inside = event.target instanceof Element && event.target.closest("a,button,input");
      if (!inside && !getSelection()?.toString()) navigate(href);
    },
  };
}

interface Listing {
  hasNextPage: boolean;
  isFetchingNextPage: boolean;
  fetchNextPage: () => unknown;
}

export function More({ query }: { query: Listing }) {
  if (!query.hasNextPage) return null;
  return (
    <div className="more">
      <Button variant="subtle" loading={query.isFetchingNextPage} onClick={() => query.fetchNextPage()}>
        Load more
      </Button>
    </div>
  );
}

/** What a screen shows before its data is there. An error with data at hand is the banner's business, not this one's. */
export function Pending({ query }: { query: { error: unknown; isPending: boolean } }) {
  if (query.error) return <Failure error={query.error} />;
  return (
    <div className="empty">
      <Loader size="sm" aria-label="Loading" />
    </div>
  );
}
