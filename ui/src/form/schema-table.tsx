import { Table } from "@mantine/core";
import { Code } from "../ui/parts";
import { fieldsOf, type Schema, typeText } from "./schema";

/** What a schema says, for reading. */
export function SchemaTable({ schema, root = schema }: { schema: Schema; root?: Schema }) {
  const fields = fieldsOf(schema, root);
  if (fields.length === 0) return <Code>{typeText(schema, root)}</Code>;
  return (
    <Table horizontalSpacing={0} verticalSpacing={5}>
      <Table.Tbody>
        {fields.map((field) => (
          <Table.Tr key={field.name}>
            <Table.Td w="34%">
              <span className="mono">{field.name}</span>
              {field.required && <span className="quiet"> required</span>}
            </Table.Td>
            <Table.Td>
              <span className="mono quiet">{typeText(field.schema, root)}</span>
              {field.description && <div>{field.description}</div>}
              {field.widget === "group" && <SchemaTable schema={field.schema} root={root} />}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}
