// The load balancer: who gets requests, what is done with them before, and what clients are shown.
import { Button, NumberInput, Table, VisuallyHidden } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { api, unwrap } from "../api/client";
import { balancersQuery, queryClient } from "../api/queries";
import type { BalancedServer, BalancerReport, BalancerState, ServedCertificate } from "../api/types";
import {
  certificateLevel,
  daysLeft,
  isAside,
  isLast,
  rate,
  type ServerEntry,
  SOON_DAYS,
  STALE_MS,
  serverLevel,
  withServer,
} from "../balancer";
import type { JsonObject } from "../form/schema";
import { count, millis } from "../format";
import { Link, path } from "../router";
import { Confirm } from "../ui/confirm";
import { Code, Empty, Fact, Note, PageTitle, Panel, Pending } from "../ui/parts";
import { State } from "../ui/state";
import { useNow, When } from "../ui/time";

const WAIT_MS = 3000;
/** How often somebody else may write the object in between. */
const TRIES = 5;

export function BalancerScreen() {
  const balancers = useQuery(balancersQuery);
  const all = balancers.data?.items ?? [];
  return (
    <>
      <PageTitle title="Load balancer">
        <Link href={path("objects", "balancer")}>Settings</Link>
      </PageTitle>
      {!balancers.data ? (
        <Panel>
          <Pending query={balancers} />
        </Panel>
      ) : all.length === 0 ? (
        <Panel>
          <Empty title="This cluster has no load balancer of its own that runs">
            <p>
              Requests reach its servers directly or through a load balancer of another make, whose own
              interface says more. A server is kept from new requests with <Code>tenon server drain</Code>.
            </p>
          </Empty>
        </Panel>
      ) : (
        all.map((state) => <Balancer key={state.report.name} state={state} alone={all.length === 1} />)
      )}
    </>
  );
}

interface Sample {
  at: number;
  report: BalancerReport;
}

/** The newest two reports with the moments at which they were made. */
function useSamples({ age_ms, report }: BalancerState): [Sample | null, Sample] {
  const known = useRef<{ before: Sample | null; now: Sample } | null>(null);
  const at = Date.now() - age_ms;
  const last = known.current?.now ?? null;
  // Answers about one report differ by the time that they take; reports come a second apart.
  if (!last || at - last.at > 500 || last.report.instance !== report.instance) {
    known.current = { before: last, now: { at, report } };
  }
  return [known.current?.before ?? null, known.current?.now ?? { at, report }];
}

function Balancer({ state, alone }: { state: BalancerState; alone: boolean }) {
  const { report } = state;
  const [before, now] = useSamples(state);
  const title = (text: string) => (alone ? text : `${text} of ${report.name}`);
  return (
    <div data-balancer={report.name}>
      {state.age_ms > STALE_MS && (
        <Note level="warning" title={`${report.name} does not report`}>
          <div>What is shown is {Math.round(state.age_ms / 1000)} s old.</div>
        </Note>
      )}
      {report.problems.length > 0 && (
        <Note level="warning" title="Not used as they are now; what was known of them before stays in force">
          <ul>
            {report.problems.map((problem) => (
              <li key={`${problem.kind}/${problem.name}`}>
                <Link href={path("objects", problem.kind, problem.name)}>
                  {problem.kind}/{problem.name}
                </Link>
                : {problem.message}
              </li>
            ))}
          </ul>
        </Note>
      )}
      <Traffic before={before} now={now} />
      <Panel title={title("Servers")} aside={<span className="quiet">{report.algorithm}</span>}>
        <Servers before={before} now={now} />
      </Panel>
      <Panel title={title("Rules")} aside={<Link href="/new/balancer-rule">New rule</Link>}>
        <Rules report={report} />
      </Panel>
      <Panel
        title={title("Certificates")}
        aside={<Link href="/new/balancer-certificate">New certificate</Link>}
      >
        <Certificates certificates={report.certificates} />
      </Panel>
    </div>
  );
}

function perSecond(value: number | null): string {
  if (value === null) return "–";
  return value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en");
}

function Traffic({ before, now }: { before: Sample | null; now: Sample }) {
  const { traffic } = now.report;
  const number = (value: number) => value.toLocaleString("en");
  return (
    <section className="panel" aria-label="Traffic">
      <div className="panel-body facts">
        <Fact label="Requests per second">{perSecond(rate(before, now, (r) => r.traffic.requests))}</Fact>
        <Fact label="Connections">
          {number(traffic.connections)}
          <span className="quiet">
            {" "}
            {number(traffic.tls_connections)} TLS, {number(traffic.h2_connections)} HTTP/2
          </span>
        </Fact>
        <Fact label="Requests">{number(traffic.requests)}</Fact>
        <Fact label="Errors (5xx)">{number(traffic.errors)}</Fact>
        <Fact label="Refused">{number(traffic.refused)}</Fact>
        <Fact label="Retried">{number(traffic.retries)}</Fact>
        <Fact label="Waiting">{number(traffic.queued)}</Fact>
      </div>
    </section>
  );
}

function Servers({ before, now }: { before: Sample | null; now: Sample }) {
  const { servers } = now.report;
  if (servers.length === 0) return <Empty title="It knows no server yet" />;
  const of = (name: string) => (report: BalancerReport) =>
    report.servers.find((server) => server.name === name)?.requests;
  return (
    <div className="scroll">
      <Table miw={980}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Name</Table.Th>
            <Table.Th>State</Table.Th>
            <Table.Th className="num">Weight</Table.Th>
            <Table.Th className="num">In flight</Table.Th>
            <Table.Th className="num">Per second</Table.Th>
            <Table.Th className="num">Requests</Table.Th>
            <Table.Th className="num">Failures</Table.Th>
            <Table.Th className="num">p50</Table.Th>
            <Table.Th className="num">p99</Table.Th>
            <Table.Th>
              <VisuallyHidden>Change</VisuallyHidden>
            </Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {servers.map((server) => (
            <Server
              key={server.name}
              server={server}
              perSecond={rate(before, now, of(server.name))}
              last={isLast(servers, server.name)}
            />
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}

function Server(props: { server: BalancedServer; perSecond: number | null; last: boolean }) {
  const { server } = props;
  const latency = (value: number | null | undefined) =>
    value == null ? <span className="quiet">–</span> : millis(value);
  return (
    <Table.Tr data-server={server.name} data-state={server.state} data-weight={server.weight}>
      <Table.Td className="name-cell" title={server.address}>
        {server.name}
      </Table.Td>
      <Table.Td>
        <span className="state-cell">
          <State level={serverLevel(server)} title={`checks find it ${server.health}`}>
            {server.state}
          </State>
          {server.ejected_until && (
            <span className="quiet">
              until <When at={server.ejected_until} />
            </span>
          )}
        </span>
      </Table.Td>
      <Table.Td className="num">{server.weight}</Table.Td>
      <Table.Td className="num">{server.in_flight}</Table.Td>
      <Table.Td className="num">{perSecond(props.perSecond)}</Table.Td>
      <Table.Td className="num">{server.requests.toLocaleString("en")}</Table.Td>
      <Table.Td className="num">{server.failures.toLocaleString("en")}</Table.Td>
      <Table.Td className="num">{latency(server.latency_p50_ms)}</Table.Td>
      <Table.Td className="num">{latency(server.latency_p99_ms)}</Table.Td>
      <Table.Td>
        <Change server={server} last={props.last} />
      </Table.Td>
    </Table.Tr>
  );
}

/** Writes what is said of a server into `balancer/main`, again if somebody else wrote it meanwhile. */
async function changeServer(name: string, change: Omit<ServerEntry, "name">): Promise<void> {
  const params = { path: { kind: "balancer", name: "main" } };
  for (let left = TRIES; ; left -= 1) {
    const found = await api.GET("/v1/objects/{kind}/{name}", { params });
    const object = found.response.status === 404 ? null : unwrap(found);
    const body = (object?.body ?? {}) as JsonObject;
    const servers = withServer((body.servers ?? []) as unknown as ServerEntry[], name, change);
    const written = await api.PUT("/v1/objects/{kind}/{name}", {
      params: { ...params, query: { if_version: object?.version ?? 0, wait_ms: WAIT_MS } },
      body: { body: { ...body, servers } },
    });
    if (written.response.status === 412 && left > 1) continue;
    unwrap(written);
    return;
  }
}

type Wish = "in" | "drain" | "maintenance" | "weight";

const WISHES: Record<Wish, { title: (name: string) => string; action: string; text: string }> = {
  in: { title: (name) => `Take ${name} back?`, action: "Take back", text: "It gets requests again." },
  drain: {
    title: (name) => `Drain ${name}?`,
    action: "Drain",
    text: "It gets no new requests and finishes those that it has. It stays so, also when it is restarted, until it is taken back.",
  },
  maintenance: {
    title: (name) => `Put ${name} into maintenance?`,
    action: "Maintenance",
    text: "It gets no new requests and finishes those that it has; upgraded connections, such as WebSockets, are closed.",
  },
  weight: {
    title: (name) => `Weight of ${name}`,
    action: "Save",
    text: "Its part of the requests, relative to the other servers.",
  },
};

function Change({ server, last }: { server: BalancedServer; last: boolean }) {
  const [wish, setWish] = useState<Wish | null>(null);
  const [weight, setWeight] = useState<number | string>(server.weight);
  const save = useMutation({
    mutationFn: () =>
      changeServer(server.name, wish === "weight" ? { weight: Number(weight) } : { state: wish as "in" }),
    onSuccess: async () => {
      setWish(null);
      await queryClient.invalidateQueries({ queryKey: balancersQuery.queryKey });
    },
  });
  const ask = (next: Wish) => {
    save.reset();
    setWeight(server.weight);
    setWish(next);
  };
  const hurts = last && (wish === "drain" || wish === "maintenance");
  const button = (next: Wish, text: string) => (
    <Button
      size="compact-xs"
      variant="default"
      onClick={() => ask(next)}
      aria-label={`${text}: ${server.name}`}
    >
      {text}
    </Button>
  );
  // What is shown while the dialog closes is what was asked.
  const shown = useLast(wish) ?? "drain";
  return (
    <span className="row-actions">
      {isAside(server) ? button("in", "Take back") : button("drain", "Drain")}
      {server.state !== "maintenance" && button("maintenance", "Maintenance")}
      {button("weight", "Weight")}
      <Confirm
        opened={wish !== null}
        title={WISHES[shown].title(server.name)}
        action={WISHES[shown].action}
        danger={hurts}
        busy={save.isPending}
        error={save.error}
        onClose={() => setWish(null)}
        onConfirm={() => save.mutate()}
      >
        <p>{WISHES[shown].text}</p>
        {shown === "weight" && (
          <NumberInput
            data-autofocus
            label="Weight"
            min={1}
            max={100}
            allowDecimal={false}
            value={weight}
            onChange={setWeight}
            onKeyDown={(event) => event.key === "Enter" && save.mutate()}
          />
        )}
        {hurts && (
          <Note level="down" title="No other server gets requests">
            <div>Every request is answered with 503 until one does.</div>
          </Note>
        )}
      </Confirm>
    </span>
  );
}

/** The last value that was not null. */
function useLast<T>(value: T | null): T | null {
  const last = useRef<T | null>(null);
  useEffect(() => {
    if (value !== null) last.current = value;
  }, [value]);
  return value ?? last.current;
}

function Rules({ report }: { report: BalancerReport }) {
  if (report.rules.length === 0) {
    return (
      <Empty title="No rule is in force">
        <p>
          A rule lets in, refuses, limits or changes requests before a server sees them.{" "}
          <Link href="/new/balancer-rule">Create one</Link>.
        </p>
      </Empty>
    );
  }
  return (
    <div className="scroll">
      <Table miw={480}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Name</Table.Th>
            <Table.Th className="num">Hits</Table.Th>
            <Table.Th className="num">Refused</Table.Th>
            <Table.Th className="num">Waiting</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {report.rules.map((rule) => (
            <Table.Tr key={rule.name} data-rule={rule.name} data-hits={rule.hits}>
              <Table.Td>
                <Link href={path("objects", "balancer-rule", rule.name)} className="name-cell">
                  {rule.name}
                </Link>
              </Table.Td>
              <Table.Td className="num">{rule.hits.toLocaleString("en")}</Table.Td>
              <Table.Td className="num">{rule.refused.toLocaleString("en")}</Table.Td>
              <Table.Td className="num">{rule.queued.toLocaleString("en")}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}

function Certificates({ certificates }: { certificates: ServedCertificate[] }) {
  if (certificates.length === 0) return <Empty title="It has no certificate, and so answers no HTTPS" />;
  return (
    <div className="scroll">
      <Table miw={760}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Name</Table.Th>
            <Table.Th>Hosts</Table.Th>
            <Table.Th>Valid</Table.Th>
            <Table.Th className="num">Ends</Table.Th>
            <Table.Th>Fingerprint</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {certificates.map((certificate) => (
            <Certificate key={certificate.name} certificate={certificate} />
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}

/** The certificate that an environment comes with is no object. */
const OWN = "default";

function Certificate({ certificate }: { certificate: ServedCertificate }) {
  const now = useNow();
  const level = certificateLevel(certificate, now);
  return (
    <Table.Tr data-certificate={certificate.name} data-level={level}>
      <Table.Td>
        {certificate.name === OWN ? (
          <span className="name-cell">{certificate.name}</span>
        ) : (
          <Link href={path("objects", "balancer-certificate", certificate.name)} className="name-cell">
            {certificate.name}
          </Link>
        )}
        {certificate.is_default && <span className="quiet"> where no other is for the host</span>}
      </Table.Td>
      <Table.Td>{certificate.hosts.join(", ") || <span className="quiet">–</span>}</Table.Td>
      <Table.Td>
        <State level={level}>{validity(certificate, now)}</State>
      </Table.Td>
      <Table.Td className="num">
        <When at={certificate.not_after} />
      </Table.Td>
      <Table.Td className="mono clip" title={certificate.fingerprint}>
        {certificate.fingerprint.slice(0, 16)}
      </Table.Td>
    </Table.Tr>
  );
}

function validity(certificate: ServedCertificate, now: number): string {
  if (certificate.problem) return certificate.problem;
  const days = daysLeft(certificate, now);
  if (days === null) return "unknown";
  if (days < 0) return "it has ended";
  if (certificate.next_order) return `${count(days, "day")} left, renewed by itself`;
  return days < SOON_DAYS ? `renew it: ${count(days, "day")} left` : `${count(days, "day")} left`;
}
