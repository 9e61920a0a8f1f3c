import { useQuery } from "@tanstack/react-query";
import { serviceQuery } from "../api/queries";
import type { ServiceSummary } from "../api/types";
import { asSchema } from "../form/schema";
import { SchemaTable } from "../form/schema-table";
import { Link, path } from "../router";
import { PageTitle, Panel, Pending } from "../ui/parts";
import { Invoke } from "./invoke";

export function ServiceScreen({ name }: { name: string }) {
  const service = useQuery(serviceQuery(name));
  return (
    <>
      <PageTitle title={name} crumb={{ text: "Services", href: "/services" }} />
      {service.data ? (
        <div className="columns">
          <div>
            <Invoke service={service.data} />
          </div>
          <div>
            <About service={service.data} />
            <Shape
              title="Input"
              schema={service.data.input}
              none="The service declares no input; it gets the payload as it is."
            />
            <Shape title="Output" schema={service.data.output} none="The service declares no output." />
          </div>
        </div>
      ) : (
        <Panel>
          <Pending query={service} />
        </Panel>
      )}
    </>
  );
}

function About({ service }: { service: ServiceSummary }) {
  return (
    <Panel title="About" padded>
      {service.doc && <p style={{ whiteSpace: "pre-wrap", marginTop: 0 }}>{service.doc.trim()}</p>}
      <dl className="fields">
        <dt>File</dt>
        <dd className="mono">{service.file}</dd>
        <dt>Worker group</dt>
        <dd>{service.group}</dd>
        <dt>Deployment</dt>
        <dd>
          <Link href={path("deployments", service.deployment)}>#{service.deployment}</Link>
        </dd>
        <dt>REST channels</dt>
        <dd className="mono">
          {service.channels.length > 0 ? (
            service.channels.map((channel) => <div key={channel}>{channel}</div>)
          ) : (
            <span className="quiet">
              none;{" "}
              <Link href={`/new/rest-channel?service=${encodeURIComponent(service.name)}`}>create one</Link>
            </span>
          )}
        </dd>
      </dl>
    </Panel>
  );
}

function Shape({ title, schema, none }: { title: string; schema: unknown; none: string }) {
  const known = asSchema(schema);
  return (
    <Panel title={title} padded>
      {known ? <SchemaTable schema={known} /> : <span className="quiet">{none}</span>}
    </Panel>
  );
}
