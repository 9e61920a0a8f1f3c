import { Button, Table } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { kindsQuery, objectsQuery } from "../api/queries";
import type { KindDescription, KindGroup } from "../api/types";
import { asSchema, labelOf, telling } from "../form/schema";
import { Link, navigate, path, useQueryParam } from "../router";
import { Icon } from "../ui/icons";
import { Code, Empty, Filter, More, PageTitle, Panel, Pending, rowTo } from "../ui/parts";
import { When } from "../ui/time";

const GROUPS: [KindGroup, string][] = [
  ["channel", "Channels"],
  ["outgoing", "Outgoing"],
  ["security", "Security"],
  ["schedule", "Schedule"],
  ["load-balancer", "Load balancer"],
];

export function ObjectsScreen({ kind }: { kind?: string }) {
  const kinds = useQuery(kindsQuery);
  const first = GROUPS.flatMap(([group]) => kinds.data?.filter((each) => each.group === group) ?? [])[0];
  useEffect(() => {
    if (!kind && first) navigate(path("objects", first.name), { replace: true });
  }, [kind, first]);
  const chosen = kinds.data?.find((each) => each.name === kind);
  if (!kinds.data) {
    return (
      <>
        <PageTitle title="Objects" />
        <Panel>
          <Pending query={kinds} />
        </Panel>
      </>
    );
  }
  return (
    <div className="with-side">
      <Kinds kinds={kinds.data} chosen={kind} />
      <div>
        {chosen ? (
          <List key={chosen.name} kind={chosen} />
        ) : (
          kind && <Empty title={`There is no kind ${kind}`}>Choose one from the list.</Empty>
        )}
      </div>
    </div>
  );
}

function Kinds({ kinds, chosen }: { kinds: KindDescription[]; chosen: string | undefined }) {
  return (
    <nav aria-label="Kinds">
      {GROUPS.map(([group, title]) => {
        const members = kinds.filter((kind) => kind.group === group);
        if (members.length === 0) return null;
        return (
          <div key={group}>
            <div className="side-group">{title}</div>
            {members.map((kind) => (
              <Link
                key={kind.name}
                href={path("objects", kind.name)}
                className="nav-link"
                aria-current={kind.name === chosen ? "page" : undefined}
              >
                {kind.title}
              </Link>
            ))}
          </div>
        );
      })}
    </nav>
  );
}

function cell(value: unknown): string {
  if (value === undefined || value === null) return "–";
  if (Array.isArray(value)) return value.length > 0 ? value.map(String).join(", ") : "–";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function List({ kind }: { kind: KindDescription }) {
  const objects = useInfiniteQuery(objectsQuery(kind.name));
  const [filter, setFilter] = useQueryParam("q");
  const columns = telling(asSchema(kind.schema) ?? {});
  const all = objects.data?.pages.flatMap((page) => page.items) ?? [];
  const wanted = filter.toLowerCase();
  const shown = all.filter((object) =>
    [object.name, JSON.stringify(object.body), object.manifest ?? ""].some((text) =>
      text.toLowerCase().includes(wanted),
    ),
  );
  return (
    <>
      <PageTitle title={kind.title}>
        <Filter value={filter} onChange={setFilter} label={`Filter ${kind.title}`} />
        <Button leftSection={<Icon name="plus" size={14} />} onClick={() => navigate(path("new", kind.name))}>
          New
        </Button>
      </PageTitle>
      <Panel>
        {!objects.data ? (
          <Pending query={objects} />
        ) : all.length === 0 ? (
          <Empty title="None yet">
            <p>
              <Link href={path("new", kind.name)}>Create one here</Link>, or write it into a file in{" "}
              <Code>manifests/</Code> under <Code>{kind.name}:</Code>. Either is in force on every server at
              once, without a restart.
            </p>
          </Empty>
        ) : shown.length === 0 ? (
          <Empty title="None matches the filter" />
        ) : (
          <div className="scroll">
            <Table miw={640}>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>Name</Table.Th>
                  {columns.map((column) => (
                    <Table.Th key={column}>{labelOf(column)}</Table.Th>
                  ))}
                  <Table.Th>Manifest</Table.Th>
                  <Table.Th className="num">Version</Table.Th>
                  <Table.Th className="num">Changed</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {shown.map((object) => {
                  const href = path("objects", object.kind, object.name);
                  const body = (object.body ?? {}) as Record<string, unknown>;
                  return (
                    <Table.Tr key={object.name} {...rowTo(href)}>
                      <Table.Td>
                        <Link href={href} className="name-cell">
                          {object.name}
                        </Link>
                      </Table.Td>
                      {columns.map((column) => (
                        <Table.Td key={column} className="clip" title={cell(body[column])}>
                          {cell(body[column])}
                        </Table.Td>
                      ))}
                      <Table.Td className="mono">
                        {object.manifest ?? <span className="quiet">–</span>}
                      </Table.Td>
                      <Table.Td className="num">{object.version}</Table.Td>
                      <Table.Td className="num">
                        <When at={object.updated_at} />
                      </Table.Td>
                    </Table.Tr>
                  );
                })}
              </Table.Tbody>
            </Table>
          </div>
        )}
        <More query={objects} />
      </Panel>
    </>
  );
}
