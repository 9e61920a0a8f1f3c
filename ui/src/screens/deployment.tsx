import { Button, Table } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, unwrap } from "../api/client";
import { deploymentQuery, queryClient } from "../api/queries";
import type { DeploymentDetail, RefusedFile } from "../api/types";
import { count } from "../format";
import { Link, navigate, path } from "../router";
import { Confirm } from "../ui/confirm";
import { Icon } from "../ui/icons";
import { Code, CodeBlock, PageTitle, Panel, Pending } from "../ui/parts";
import { Deployed } from "../ui/state";
import { Instant, When } from "../ui/time";

export function DeploymentScreen({ number }: { number: number }) {
  const deployment = useQuery(deploymentQuery(number));
  const data = deployment.data;
  return (
    <>
      <PageTitle title={`Deployment #${number}`} crumb={{ text: "Deployments", href: "/deployments" }}>
        {data && <RollBack deployment={data} />}
      </PageTitle>
      {data ? (
        <Detail deployment={data} />
      ) : (
        <Panel>
          <Pending query={deployment} />
        </Panel>
      )}
    </>
  );
}

function RollBack({ deployment }: { deployment: DeploymentDetail }) {
  const [asked, setAsked] = useState(false);
  const rollBack = useMutation({
    mutationFn: async () =>
      unwrap(
        await api.POST("/v1/deployments/{number}/rollback", {
          params: { path: { number: deployment.number } },
        }),
      ),
    onSuccess: (created) => {
      setAsked(false);
      void queryClient.invalidateQueries({ queryKey: ["deployments"] });
      navigate(path("deployments", created.number));
    },
  });
  if (deployment.state !== "superseded") return null;
  return (
    <>
      <Button variant="default" leftSection={<Icon name="back" size={14} />} onClick={() => setAsked(true)}>
        Roll back to this
      </Button>
      <Confirm
        opened={asked}
        title={`Roll back to #${deployment.number}?`}
        action="Roll back"
        busy={rollBack.isPending}
        error={rollBack.error}
        onClose={() => setAsked(false)}
        onConfirm={() => rollBack.mutate()}
      >
        <p>
          Its {count(deployment.files, "file")} and {count(deployment.services, "service")} become a new
          deployment of worker group {deployment.group} on every server; other groups stay as they are. No
          request fails; calls that run finish where they began.
        </p>
      </Confirm>
    </>
  );
}

function Detail({ deployment }: { deployment: DeploymentDetail }) {
  return (
    <>
      <Panel padded>
        <dl className="fields">
          <dt>State</dt>
          <dd>
            <Deployed state={deployment.state} />
          </dd>
          {deployment.canary ? (
            <>
              <dt>Canary</dt>
              <dd>
                {deployment.canary.share_percent} % of the calls for {deployment.canary.period}
              </dd>
            </>
          ) : null}
          {deployment.reason ? (
            <>
              <dt>Reason</dt>
              <dd>{deployment.reason}</dd>
            </>
          ) : null}
          <dt>Source</dt>
          <dd>{deployment.source}</dd>
          <dt>Worker group</dt>
          <dd>{deployment.group}</dd>
          <dt>Created</dt>
          <dd>
            <Instant at={deployment.created_at} /> (<When at={deployment.created_at} />)
          </dd>
        </dl>
      </Panel>
      {deployment.refused.map((file) => (
        <Refused key={file.path} file={file} />
      ))}
      <div className="columns">
        <Panel title="Services" aside={<span className="quiet">{deployment.services}</span>}>
          {deployment.service_names.length === 0 ? (
            <div className="panel-body quiet">No service</div>
          ) : (
            <Table>
              <Table.Tbody>
                {deployment.service_names.map((name) => (
                  <Table.Tr key={name}>
                    <Table.Td>
                      <Link href={path("services", name)}>{name}</Link>
                    </Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          )}
        </Panel>
        <Panel title="Files" aside={<span className="quiet">{deployment.files}</span>}>
          <Table>
            <Table.Tbody>
              {deployment.file_hashes.map(([file = "", hash = ""]) => (
                <Table.Tr key={file}>
                  <Table.Td className="mono">{file}</Table.Td>
                  <Table.Td className="num mono quiet" title={`SHA-256 ${hash}`}>
                    {hash.slice(0, 12)}
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Panel>
      </div>
    </>
  );
}

function Refused({ file }: { file: RefusedFile }) {
  return (
    <section className="refused" aria-label={`Refused ${file.path}`}>
      <div className="refused-head">
        <strong>{file.path}</strong> was refused: <Code>{file.error}</Code>
        <div className="quiet">
          {file.kept_previous
            ? "Its last good version goes on serving. Correct the file and save it again."
            : "There is no earlier version of it that could serve. Correct the file and save it again."}
        </div>
      </div>
      <CodeBlock text={file.traceback.trim() || file.error} label="Traceback" />
    </section>
  );
}
