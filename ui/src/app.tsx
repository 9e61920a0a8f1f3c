// Who is here, and which screen the URL asks for.
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { ApiError } from "./api/client";
import { sessionQuery } from "./api/queries";
import { Link, match, usePath } from "./router";
import { BalancerScreen } from "./screens/balancer";
import { DeploymentScreen } from "./screens/deployment";
import { DeploymentsScreen } from "./screens/deployments";
import { JobScreen } from "./screens/job";
import { JobsScreen } from "./screens/jobs";
import { LoginScreen } from "./screens/login";
import { ObjectScreen } from "./screens/object";
import { EditObjectScreen, NewObjectScreen } from "./screens/object-edit";
import { ObjectsScreen } from "./screens/objects";
import { OverviewScreen } from "./screens/overview";
import { ServiceScreen } from "./screens/service";
import { ServicesScreen } from "./screens/services";
import { UnreachableScreen } from "./screens/unreachable";
import { Shell } from "./shell";
import { Empty, PageTitle, Panel } from "./ui/parts";

type Params = Record<string, string>;

const ROUTES: [string, (params: Params) => ReactNode][] = [
  ["/", () => <OverviewScreen />],
  ["/services", () => <ServicesScreen />],
  ["/services/:name", (p) => <ServiceScreen key={p.name} name={p.name ?? ""} />],
  ["/deployments", () => <DeploymentsScreen />],
  ["/deployments/:number", (p) => <DeploymentScreen key={p.number} number={Number(p.number)} />],
  ["/jobs", () => <JobsScreen />],
  ["/jobs/:name", (p) => <JobScreen key={p.name} name={p.name ?? ""} />],
  ["/load-balancer", () => <BalancerScreen />],
  ["/objects", () => <ObjectsScreen />],
  ["/objects/:kind", (p) => <ObjectsScreen kind={p.kind ?? ""} />],
  [
    "/objects/:kind/:name",
    (p) => <ObjectScreen key={`${p.kind}/${p.name}`} kind={p.kind ?? ""} name={p.name ?? ""} />,
  ],
  [
    "/objects/:kind/:name/edit",
    (p) => <EditObjectScreen key={`${p.kind}/${p.name}`} kind={p.kind ?? ""} name={p.name ?? ""} />,
  ],
  ["/new/:kind", (p) => <NewObjectScreen key={p.kind} kind={p.kind ?? ""} />],
];

function Screen() {
  const path = usePath();
  for (const [pattern, render] of ROUTES) {
    const params = match(pattern, path);
    if (params) return render(params);
  }
  return (
    <>
      <PageTitle title="Not here" />
      <Panel>
        <Empty title="No page has this address">
          <p>
            Go to the <Link href="/">overview</Link>.
          </p>
        </Empty>
      </Panel>
    </>
  );
}

export function App() {
  const session = useQuery(sessionQuery);
  if (session.data === null) return <LoginScreen />;
  if (session.data) {
    return (
      <Shell session={session.data}>
        <Screen />
      </Shell>
    );
  }
  if (session.error) {
    const error =
      session.error instanceof ApiError ? session.error : new ApiError(0, "", String(session.error));
    return <UnreachableScreen error={error} />;
  }
  return null;
}
