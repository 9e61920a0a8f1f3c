import { Button, Table } from "@mantine/core";
import { useInfiniteQuery, useMutation, useQuery } from "@tanstack/react-query";
import { api, unwrap } from "../api/client";
import { jobQuery, ledgerQuery, queryClient, runsQuery } from "../api/queries";
import type { JobSummary, RunSummary } from "../api/types";
import { millis } from "../format";
import { Link, path, useQueryParam } from "../router";
import { Icon } from "../ui/icons";
import { Code, CodeBlock, Empty, Fact, Failure, More, PageTitle, Panel, Pending } from "../ui/parts";
import { Outcome, State } from "../ui/state";
import { Instant, When } from "../ui/time";

export function JobScreen({ name }: { name: string }) {
  const job = useQuery(jobQuery(name));
  const run = useMutation({
    mutationFn: async () => unwrap(await api.POST("/v1/jobs/{name}/run", { params: { path: { name } } })),
    onSettled: () => {
      void queryClient.invalidateQueries({ queryKey: ["runs", name] });
      void queryClient.invalidateQueries({ queryKey: ["job", name] });
    },
  });
  return (
    <>
      <PageTitle title={name} crumb={{ text: "Jobs", href: "/jobs" }}>
        {job.data && (
          <>
            <Link href={path("objects", "job", name)}>Settings</Link>
            <Button
              loading={run.isPending}
              leftSection={<Icon name="play" size={13} />}
              onClick={() => run.mutate()}
            >
              Run now
            </Button>
          </>
        )}
      </PageTitle>
      {run.error ? <Failure error={run.error} title="The job was not run" /> : null}
      {job.data ? (
        <>
          <Facts job={job.data} />
          <Ledger name={name} />
          <Runs name={name} />
        </>
      ) : (
        <Panel>
          <Pending query={job} />
        </Panel>
      )}
    </>
  );
}

function Facts({ job }: { job: JobSummary }) {
  return (
    <Panel padded>
      <div className="facts">
        <Fact label="Service">
          <Link href={path("services", job.service)}>{job.service}</Link>
        </Fact>
        <Fact label="Runs">{job.schedule}</Fact>
        <Fact label="Next">
          {!job.enabled ? (
            <State level="unknown">switched off</State>
          ) : job.next_at ? (
            <>
              <Instant at={job.next_at} /> (<When at={job.next_at} />)
            </>
          ) : (
            "never again"
          )}
        </Fact>
        <Fact label="Last outcome">
          {job.last_run ? <Outcome outcome={job.last_run.outcome} /> : "it never ran"}
        </Fact>
      </div>
    </Panel>
  );
}

/** The proof that nothing was lost or run twice. */
function Ledger({ name }: { name: string }) {
  const ledger = useQuery(ledgerQuery(name));
  const data = ledger.data;
  if (!data) {
    return (
      <Panel title="Ledger">
        <Pending query={ledger} />
      </Panel>
    );
  }
  const broken = data.duplicates + data.overlapping_attempts + data.lost > 0;
  const rows: [string, number, boolean][] = [
    ["Planned", data.planned, false],
    ["Ran", data.ran, false],
    ["Open", data.open, false],
    ["Missed by policy", data.missed_by_policy, false],
    ["Duplicates", data.duplicates, true],
    ["Overlapping attempts", data.overlapping_attempts, true],
    ["Lost", data.lost, true],
  ];
  return (
    <Panel
      title="Ledger"
      padded
      aside={
        broken ? (
          <State level="down">does not add up</State>
        ) : (
          <State level="ok">every instant accounted for</State>
        )
      }
    >
      <div className="facts">
        {rows.map(([label, value, mustBeZero]) => (
          <Fact key={label} label={label}>
            {mustBeZero && value > 0 ? (
              <State level="down">{String(value)}</State>
            ) : (
              value.toLocaleString("en")
            )}
          </Fact>
        ))}
        <Fact label="Kept since">
          <Instant at={data.since} />
        </Fact>
      </div>
    </Panel>
  );
}

function Runs({ name }: { name: string }) {
  const runs = useInfiniteQuery(runsQuery(name));
  const [opened, setOpened] = useQueryParam("run");
  const all = runs.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Panel title="Runs">
      {!runs.data ? (
        <Pending query={runs} />
      ) : all.length === 0 ? (
        <Empty title="It has not run yet">
          <p>Its first run appears here by itself. “Run now” does not wait for the schedule.</p>
        </Empty>
      ) : (
        <div className="scroll">
          <Table miw={760}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th className="num" w={80}>
                  Run
                </Table.Th>
                <Table.Th>Planned for</Table.Th>
                <Table.Th>Outcome</Table.Th>
                <Table.Th className="num">Took</Table.Th>
                <Table.Th className="num">Late by</Table.Th>
                <Table.Th className="num">Attempt</Table.Th>
                <Table.Th>Server</Table.Th>
                <Table.Th>Result</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {all.map((run) => (
                <Run
                  key={run.id}
                  run={run}
                  opened={opened === String(run.id)}
                  onToggle={() => setOpened(opened === String(run.id) ? "" : String(run.id))}
                />
              ))}
            </Table.Tbody>
          </Table>
        </div>
      )}
      <More query={runs} />
    </Panel>
  );
}

function Run({ run, opened, onToggle }: { run: RunSummary; opened: boolean; onToggle: () => void }) {
  const line = (run.error?.trim().split("\n").at(-1) || run.output || "").slice(0, 200);
  return (
    <>
      <Table.Tr
        data-run={run.id}
        data-clickable
        onClick={(event) => {
          if (!(event.target instanceof Element && event.target.closest("a,button"))) onToggle();
        }}
      >
        <Table.Td className="num">
          <button type="button" className="link-button" aria-expanded={opened} onClick={onToggle}>
            {run.id}
          </button>
        </Table.Td>
        <Table.Td>
          <Instant at={run.planned_at} />
          {run.manual && <span className="quiet"> by hand</span>}
        </Table.Td>
        <Table.Td>
          <Outcome outcome={run.outcome} />
        </Table.Td>
        <Table.Td className="num">{run.duration_ms != null ? millis(run.duration_ms) : "–"}</Table.Td>
        <Table.Td className="num">{run.lateness_ms != null ? millis(run.lateness_ms) : "–"}</Table.Td>
        <Table.Td className="num">{run.attempt}</Table.Td>
        <Table.Td>{run.server ?? "–"}</Table.Td>
        <Table.Td className="mono clip" title={line}>
          {line || "–"}
        </Table.Td>
      </Table.Tr>
      {opened && (
        <Table.Tr>
          <Table.Td colSpan={8} style={{ paddingBlock: 12 }}>
            <RunDetail run={run} />
          </Table.Td>
        </Table.Tr>
      )}
    </>
  );
}

function RunDetail({ run }: { run: RunSummary }) {
  return (
    <>
      <dl className="fields" style={{ marginBottom: 10 }}>
        <dt>Began</dt>
        <dd>
          <Instant at={run.started_at} />
        </dd>
        <dt>Ended</dt>
        <dd>
          <Instant at={run.ended_at} />
        </dd>
        <dt>Correlation id</dt>
        <dd>{run.cid ? <Code>{run.cid}</Code> : "–"}</dd>
      </dl>
      {run.error && <CodeBlock text={run.error} label="Error" />}
      {run.output && <CodeBlock text={run.output} label="Output" />}
      {!run.error && !run.output && <span className="quiet">The service answered nothing.</span>}
    </>
  );
}
