import { Table } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { servicesQuery } from "../api/queries";
import { Link, path, useQueryParam } from "../router";
import { Code, Empty, Filter, More, PageTitle, Panel, Pending, rowTo } from "../ui/parts";
import { State } from "../ui/state";

export function ServicesScreen() {
  const services = useInfiniteQuery(servicesQuery);
  const [filter, setFilter] = useQueryParam("q");
  const all = services.data?.pages.flatMap((page) => page.items) ?? [];
  const wanted = filter.toLowerCase();
  const shown = all.filter((service) =>
    [service.name, service.file, service.group, service.doc, ...service.channels].some((text) =>
      text.toLowerCase().includes(wanted),
    ),
  );
  return (
    <>
      <PageTitle title="Services">
        <Filter value={filter} onChange={setFilter} label="Filter services" />
      </PageTitle>
      <Panel>
        {!services.data ? (
          <Pending query={services} />
        ) : all.length === 0 ? (
          <Empty title="No service yet">
            <p>
              Save a Python file with a service in the environment's <Code>services/</Code> directory, or send
              one with <Code>tenon deploy FILE</Code>. It is here, on every server, a moment later.
            </p>
          </Empty>
        ) : shown.length === 0 ? (
          <Empty title="No service matches the filter" />
        ) : (
          <div className="scroll">
            <Table miw={700}>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>Name</Table.Th>
                  <Table.Th>Called by</Table.Th>
                  <Table.Th>File</Table.Th>
                  <Table.Th>Group</Table.Th>
                  <Table.Th className="num">Deployment</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {shown.map((service) => {
                  const href = path("services", service.name);
                  return (
                    <Table.Tr key={service.name} {...rowTo(href)}>
                      <Table.Td>
                        <Link href={href} className="name-cell">
                          {service.name}
                        </Link>
                        {service.quarantine && <State level="down">quarantined</State>}
                        {service.doc && <div className="quiet clip">{service.doc.trim().split("\n")[0]}</div>}
                      </Table.Td>
                      <Table.Td className="mono">
                        {service.channels.length > 0
                          ? service.channels.map((channel) => <div key={channel}>{channel}</div>)
                          : "–"}
                      </Table.Td>
                      <Table.Td className="mono">{service.file}</Table.Td>
                      <Table.Td>{service.group}</Table.Td>
                      <Table.Td className="num">
                        <Link href={path("deployments", service.deployment)}>#{service.deployment}</Link>
                      </Table.Td>
                    </Table.Tr>
                  );
                })}
              </Table.Tbody>
            </Table>
          </div>
        )}
        <More query={services} />
      </Panel>
    </>
  );
}
