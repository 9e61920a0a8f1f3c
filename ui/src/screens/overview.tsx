// The first screen: is it healthy, and what needs somebody.
import { Table } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { deploymentsQuery, jobsQuery, servicesQuery } from "../api/queries";
import type { ComponentStatus } from "../api/types";
import { bytes, count, seconds } from "../format";
import { lastKnown, levelOf } from "../health";
import { usePulse } from "../pulse";
import { Link, path } from "../router";
import { Fact, PageTitle, Panel, Pending } from "../ui/parts";
import { State } from "../ui/state";
import { When } from "../ui/time";

export function OverviewScreen() {
  const pulse = usePulse();
  const status = pulse.status;
  const components = status
    ? pulse.error
      ? lastKnown(status, pulse.error.status !== 0)
      : status.components
    : [];
  return (
    <>
      <PageTitle title="Overview" />
      <Verdict />
      <Notices />
      <Panel title="Components" aside={status && <span className="quiet">{status.components.length}</span>}>
        {status ? (
          <Components components={components} revision={status.revision} deployment={status.deployment} />
        ) : (
          <Pending query={{ error: pulse.error, isPending: true }} />
        )}
      </Panel>
    </>
  );
}

function Verdict() {
  const { status, verdict, error } = usePulse();
  const services = useInfiniteQuery(servicesQuery);
  const jobs = useInfiniteQuery(jobsQuery);
  const servers = status?.components.filter((component) => component.role === "server") ?? [];
  const ready = error ? 0 : servers.filter((server) => server.ready).length;
  const total = (query: { data?: { pages: { items: unknown[]; next?: string | null }[] } }) => {
    const pages = query.data?.pages;
    if (!pages) return "–";
    const known = pages.reduce((sum, page) => sum + page.items.length, 0);
    return pages.at(-1)?.next ? `${known}+` : String(known);
  };
  return (
    <section className="panel verdict" data-level={verdict.level} aria-label="Health" aria-live="polite">
      <div className="verdict-text">{verdict.text}</div>
      <div className="facts">
        <Fact label="Servers ready">
          {ready} of {servers.length}
        </Fact>
        <Fact label="Deployment">
          {status?.deployment ? (
            <Link href={path("deployments", status.deployment)}>#{status.deployment}</Link>
          ) : (
            <span className="quiet">none</span>
          )}
        </Fact>
        <Fact label="Services">
          <Link href="/services">{total(services)}</Link>
        </Fact>
        <Fact label="Jobs">
          <Link href="/jobs">{total(jobs)}</Link>
        </Fact>
        <Fact label="Objects revision">{status?.revision ?? "–"}</Fact>
      </div>
    </section>
  );
}

/** What needs somebody: files that the newest deployment refused, and jobs whose last run failed. */
function Notices() {
  const deployments = useInfiniteQuery(deploymentsQuery);
  const jobs = useInfiniteQuery(jobsQuery);
  const newest = deployments.data?.pages[0]?.items[0];
  const refused = newest && (newest.state === "refused" || newest.refused.length > 0) ? newest : undefined;
  const failing = (jobs.data?.pages.flatMap((page) => page.items) ?? []).filter(
    (job) => job.last_run && ["error", "timeout", "lost"].includes(job.last_run.outcome),
  );
  if (!refused && failing.length === 0) return null;
  const shown = failing.slice(0, 5);
  return (
    <Panel title="Needs attention">
      {refused && (
        <div className="notice">
          <State level="down">{refused.state === "refused" ? "refused" : "partly refused"}</State>
          <span>
            <Link href={path("deployments", refused.number)}>Deployment #{refused.number}</Link>{" "}
            {refused.refused.length > 0
              ? `does not import ${refused.refused.map((file) => file.path).join(", ")}: ${refused.refused[0]?.error}`
              : "was refused"}
          </span>
          <span className="notice-when">
            <When at={refused.created_at} />
          </span>
        </div>
      )}
      {shown.map((job) => (
        <div className="notice" key={job.name}>
          <State level="down">{job.last_run?.outcome ?? ""}</State>
          <span>
            Job <Link href={path("jobs", job.name)}>{job.name}</Link>
            {job.last_run?.error
              ? `: ${job.last_run.error.trim().split("\n").at(-1)}`
              : " failed at its last run"}
          </span>
          <span className="notice-when">
            <When at={job.last_run?.ended_at ?? job.last_run?.planned_at} />
          </span>
        </div>
      ))}
      {failing.length > shown.length && (
        <div className="notice">
          <Link href="/jobs?q=failing">{count(failing.length - shown.length, "more failing job")}</Link>
        </div>
      )}
    </Panel>
  );
}

function Components(props: { components: ComponentStatus[]; revision: number; deployment: number }) {
  return (
    <div className="scroll">
      <Table miw={1000} className="fixed-table">
        <Table.Thead>
          <Table.Tr>
            <Table.Th w="13%">Name</Table.Th>
            <Table.Th w="10%">Role</Table.Th>
            <Table.Th w="18%">State</Table.Th>
            <Table.Th w="6%">Ready</Table.Th>
            <Table.Th w="7%">Version</Table.Th>
            <Table.Th w="8%" className="num">
              Uptime
            </Table.Th>
            <Table.Th w="8%" className="num">
              Memory
            </Table.Th>
            <Table.Th w="13%">Address</Table.Th>
            <Table.Th w="9%" className="num">
              Deployment
            </Table.Th>
            <Table.Th w="8%" className="num">
              Revision
            </Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {props.components.map((component) => (
            <Component key={component.name} component={component} {...props} />
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}

function Component(props: { component: ComponentStatus; revision: number; deployment: number }) {
  const { component } = props;
  const level = levelOf(component);
  const holds = component.role === "server";
  const lag = (value: number, newest: number) =>
    holds && component.ready && value < newest ? "warning" : undefined;
  return (
    <Table.Tr
      data-component={component.name}
      data-state={component.state}
      data-ready={component.ready}
      data-pid={component.pid ?? ""}
      data-level={level}
    >
      <Table.Td className="name-cell">{component.name}</Table.Td>
      <Table.Td>{component.role}</Table.Td>
      <Table.Td>
        <span className="state-cell">
          <State level={level}>{component.state}</State>
          {component.reason && (
            <span className="quiet clip" title={component.reason}>
              {component.reason}
            </span>
          )}
        </span>
      </Table.Td>
      <Table.Td>{component.ready ? "yes" : component.state === "unknown" ? <Dash /> : "no"}</Table.Td>
      <Table.Td className="tabular">{component.version || <Dash />}</Table.Td>
      <Table.Td className="num">
        {component.uptime_seconds != null ? seconds(component.uptime_seconds) : <Dash />}
      </Table.Td>
      <Table.Td className="num">
        {component.memory_bytes != null ? bytes(component.memory_bytes) : <Dash />}
      </Table.Td>
      <Table.Td className="mono">{component.address ?? component.control_address ?? <Dash />}</Table.Td>
      <Table.Td className="num" data-level={lag(component.deployment, props.deployment)}>
        {holds && component.deployment ? (
          <Link href={path("deployments", component.deployment)}>#{component.deployment}</Link>
        ) : (
          <Dash />
        )}
      </Table.Td>
      <Table.Td className="num">{component.revision ? component.revision : <Dash />}</Table.Td>
    </Table.Tr>
  );
}

function Dash() {
  return <span className="quiet">–</span>;
}
