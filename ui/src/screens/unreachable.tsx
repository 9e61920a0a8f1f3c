import { Loader, Title } from "@mantine/core";
import { useEffect } from "react";
import type { ApiError } from "../api/client";
import { Mark } from "../ui/icons";
import { Code } from "../ui/parts";

/** The first screen when nobody can say who is here: what is known, what to do, and it goes away by itself. */
export function UnreachableScreen({ error }: { error: ApiError }) {
  useEffect(() => {
    document.title = "No answer · Tenon";
  }, []);
  const dashboardDown = error.status === 0;
  return (
    <main className="login">
      <section className="panel login-card" role="alert" style={{ width: "min(460px, 100%)" }}>
        <div className="brand" style={{ marginBottom: 12 }}>
          <Mark size={28} />
          <Title order={1}>{dashboardDown ? "The dashboard does not answer" : "No server answers"}</Title>
        </div>
        <p>
          {dashboardDown
            ? "The page was loaded, but the dashboard process can't be reached now."
            : "The dashboard runs, but none of the cluster's servers can be reached, so nobody can be signed in and nothing is known of the other components."}
        </p>
        {error.message && !dashboardDown && <p className="quiet">{error.message}</p>}
        <p>
          On the host, <Code>tenon status</Code> shows every component, <Code>tenon start</Code> starts what
          is stopped and <Code>tenon logs</Code> says why something does not run.
        </p>
        <div style={{ display: "flex", gap: 10, alignItems: "center" }} className="quiet">
          <Loader size={14} aria-hidden="true" /> Asking again every second; this page goes on by itself.
        </div>
      </section>
    </main>
  );
}
