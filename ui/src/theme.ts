import {
  Button,
  createTheme,
  localStorageColorSchemeManager,
  type MantineColorsTuple,
  Modal,
  MultiSelect,
  NumberInput,
  PasswordInput,
  Select,
  Table,
  TagsInput,
  Textarea,
  TextInput,
  Tooltip,
} from "@mantine/core";

const teal: MantineColorsTuple = [
  "#effcf9",
  "#d5f5ee",
  "#a8eadd",
  "#74d9c8",
  "#43c2af",
  "#22a695",
  "#14877b",
  "#0f766e",
  "#0e5f59",
  "#0c4a46",
];

const dark: MantineColorsTuple = [
  "#d6dbe0",
  "#b9c1c9",
  "#98a2ac",
  "#6f7983",
  "#3a4148",
  "#2d3238",
  "#22262b",
  "#1b1e22",
  "#15181b",
  "#0f1113",
];

const field = { defaultProps: { size: "sm" } };

export const theme = createTheme({
  colors: { dark, teal },
  primaryColor: "teal",
  primaryShade: { light: 7, dark: 6 },
  autoContrast: true,
  defaultRadius: "sm",
  cursorType: "pointer",
  fontFamily:
    'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", Arial, sans-serif',
  fontFamilyMonospace:
    'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace',
  fontSizes: { xs: "12px", sm: "13px", md: "14px", lg: "16px", xl: "19px" },
  headings: { fontWeight: "600", sizes: { h1: { fontSize: "20px" }, h2: { fontSize: "15px" } } },
  components: {
    Button: Button.extend({ defaultProps: { size: "xs" } }),
    Modal: Modal.extend({
      defaultProps: { centered: true, radius: "md", transitionProps: { duration: 100 } },
    }),
    MultiSelect: MultiSelect.extend(field),
    NumberInput: NumberInput.extend({ defaultProps: { ...field.defaultProps, hideControls: true } }),
    PasswordInput: PasswordInput.extend(field),
    Select: Select.extend(field),
    Table: Table.extend({ defaultProps: { verticalSpacing: 7, horizontalSpacing: 12, fz: "sm" } }),
    TagsInput: TagsInput.extend(field),
    TextInput: TextInput.extend(field),
    Textarea: Textarea.extend(field),
    Tooltip: Tooltip.extend({ defaultProps: { openDelay: 300, withArrow: true, fz: "xs" } }),
  },
});

/** The same key that public/theme.js reads before the first paint. */
export const colorSchemes = localStorageColorSchemeManager({ key: "tenon-color-scheme" });
