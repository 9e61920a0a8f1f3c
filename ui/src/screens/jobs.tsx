import { Table } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { jobsQuery, recentRunsQuery } from "../api/queries";
import type { JobSummary, RunSummary } from "../api/types";
import { instant, millis } from "../format";
import { Link, path, useQueryParam } from "../router";
import { Code, Empty, Filter, More, PageTitle, Panel, Pending, rowTo } from "../ui/parts";
import { Outcome, outcomeLevel, State } from "../ui/state";
import { When } from "../ui/time";

const DOTS = 12;

export function failing(job: JobSummary): boolean {
  return ["error", "timeout", "lost"].includes(job.last_run?.outcome ?? "");
}

export function JobsScreen() {
  const jobs = useInfiniteQuery(jobsQuery);
  const [filter, setFilter] = useQueryParam("q");
  const all = jobs.data?.pages.flatMap((page) => page.items) ?? [];
  const wanted = filter.toLowerCase();
  const shown = all.filter((job) =>
    [job.name, job.service, job.schedule, job.last_run?.outcome ?? "", failing(job) ? "failing" : ""].some(
      (text) => text.toLowerCase().includes(wanted),
    ),
  );
  return (
    <>
      <PageTitle title="Jobs">
        <Filter value={filter} onChange={setFilter} label="Filter jobs" />
      </PageTitle>
      <Panel>
        {!jobs.data ? (
          <Pending query={jobs} />
        ) : all.length === 0 ? (
          <Empty title="No job yet">
            <p>
              A job calls a service on a schedule. <Link href="/new/job">Create one</Link>, or put it into a
              file in <Code>manifests/</Code> under <Code>job:</Code>.
            </p>
          </Empty>
        ) : shown.length === 0 ? (
          <Empty title="No job matches the filter" />
        ) : (
          <div className="scroll">
            <Table miw={760}>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>Name</Table.Th>
                  <Table.Th>Service</Table.Th>
                  <Table.Th>Schedule</Table.Th>
                  <Table.Th className="num">Next</Table.Th>
                  <Table.Th className="num">Last run</Table.Th>
                  <Table.Th>Outcome</Table.Th>
                  <Table.Th className="num">Recent</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {shown.map((job) => (
                  <Row key={job.name} job={job} />
                ))}
              </Table.Tbody>
            </Table>
          </div>
        )}
        <More query={jobs} />
      </Panel>
    </>
  );
}

function Row({ job }: { job: JobSummary }) {
  const href = path("jobs", job.name);
  return (
    <Table.Tr data-job={job.name} {...rowTo(href)}>
      <Table.Td>
        <Link href={href} className="name-cell">
          {job.name}
        </Link>
      </Table.Td>
      <Table.Td>
        <Link href={path("services", job.service)}>{job.service}</Link>
      </Table.Td>
      <Table.Td>{job.schedule}</Table.Td>
      <Table.Td className="num">
        {job.enabled ? <When at={job.next_at} none="never" /> : <State level="unknown">off</State>}
      </Table.Td>
      <Table.Td className="num">
        <When at={job.last_run?.started_at ?? job.last_run?.planned_at} none="never" />
      </Table.Td>
      <Table.Td>
        {job.last_run ? <Outcome outcome={job.last_run.outcome} /> : <span className="quiet">–</span>}
      </Table.Td>
      <Table.Td className="num">
        <Dots job={job} />
      </Table.Td>
    </Table.Tr>
  );
}

function title(run: RunSummary): string {
  const took = run.duration_ms != null ? ` in ${millis(run.duration_ms)}` : "";
  return `${instant(run.planned_at)}: ${run.outcome}${took}`;
}

/** The last runs, the newest at the right. */
function Dots({ job }: { job: JobSummary }) {
  const recent = useQuery(recentRunsQuery(job));
  const runs = (recent.data?.items ?? (job.last_run ? [job.last_run] : [])).slice(0, DOTS).reverse();
  const summary = runs.map((run) => run.outcome).join(", ");
  return (
    <span className="dots" role="img" aria-label={summary ? `Last runs: ${summary}` : "No runs"}>
      {runs.map((run) => (
        <span key={run.id} className="dot" data-level={outcomeLevel(run.outcome)} title={title(run)} />
      ))}
    </span>
  );
}
