import { Table } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { deploymentsQuery } from "../api/queries";
import { Link, path, useQueryParam } from "../router";
import { Code, Empty, Filter, More, PageTitle, Panel, Pending, rowTo } from "../ui/parts";
import { Deployed, State } from "../ui/state";
import { When } from "../ui/time";

export function DeploymentsScreen() {
  const deployments = useInfiniteQuery(deploymentsQuery);
  const [filter, setFilter] = useQueryParam("q");
  const all = deployments.data?.pages.flatMap((page) => page.items) ?? [];
  const wanted = filter.toLowerCase();
  const shown = all.filter((deployment) =>
    [`#${deployment.number}`, deployment.state, deployment.source, deployment.group]
      .concat(deployment.refused.map((file) => file.path))
      .some((text) => text.toLowerCase().includes(wanted)),
  );
  return (
    <>
      <PageTitle title="Deployments">
        <Filter value={filter} onChange={setFilter} label="Filter deployments" />
      </PageTitle>
      <Panel>
        {!deployments.data ? (
          <Pending query={deployments} />
        ) : all.length === 0 ? (
          <Empty title="Nothing was deployed yet">
            <p>
              Save a file in <Code>services/</Code>, or send some with <Code>tenon deploy PATH…</Code>. Each
              change becomes a numbered deployment that can be rolled back to.
            </p>
          </Empty>
        ) : shown.length === 0 ? (
          <Empty title="No deployment matches the filter" />
        ) : (
          <div className="scroll">
            <Table miw={720}>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th className="num" w={80}>
                    Number
                  </Table.Th>
                  <Table.Th>State</Table.Th>
                  <Table.Th>Source</Table.Th>
                  <Table.Th>Group</Table.Th>
                  <Table.Th className="num">Files</Table.Th>
                  <Table.Th className="num">Services</Table.Th>
                  <Table.Th>Refused</Table.Th>
                  <Table.Th className="num">Created</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {shown.map((deployment) => {
                  const href = path("deployments", deployment.number);
                  const refused = deployment.refused.map((file) => file.path).join(", ");
                  return (
                    <Table.Tr key={deployment.number} data-deployment={deployment.number} {...rowTo(href)}>
                      <Table.Td className="num">
                        <Link href={href} className="name-cell">
                          #{deployment.number}
                        </Link>
                      </Table.Td>
                      <Table.Td>
                        <span title={deployment.reason}>
                          <Deployed state={deployment.state} />
                        </span>
                      </Table.Td>
                      <Table.Td>{deployment.source}</Table.Td>
                      <Table.Td>{deployment.group}</Table.Td>
                      <Table.Td className="num">{deployment.files}</Table.Td>
                      <Table.Td className="num">{deployment.services}</Table.Td>
                      <Table.Td>
                        {refused ? (
                          <span className="clip" title={refused}>
                            <State level="down">{refused}</State>
                          </span>
                        ) : (
                          <span className="quiet">–</span>
                        )}
                      </Table.Td>
                      <Table.Td className="num">
                        <When at={deployment.created_at} />
                      </Table.Td>
                    </Table.Tr>
                  );
                })}
              </Table.Tbody>
            </Table>
          </div>
        )}
        <More query={deployments} />
      </Panel>
    </>
  );
}
