import { Button, Group, Modal } from "@mantine/core";
import type { ReactNode } from "react";
import { Failure } from "./parts";

/** Asks before something that can't be taken back lightly. */
export function Confirm(props: {
  opened: boolean;
  title: string;
  action: string;
  danger?: boolean;
  busy: boolean;
  error: unknown;
  children: ReactNode;
  onClose: () => void;
  onConfirm: () => void;
}) {
  return (
    <Modal opened={props.opened} onClose={props.onClose} title={<strong>{props.title}</strong>}>
      {props.children}
      {props.error ? <Failure error={props.error} /> : null}
      <Group justify="flex-end" gap="xs" mt="md">
        <Button variant="default" onClick={props.onClose}>
          Cancel
        </Button>
        <Button
          color={props.danger ? "red" : undefined}
          loading={props.busy}
          onClick={props.onConfirm}
          data-autofocus
        >
          {props.action}
        </Button>
      </Group>
    </Modal>
  );
}
