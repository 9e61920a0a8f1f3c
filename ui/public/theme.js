// Before the first paint, so that the page does not flash in the wrong colours. A file of its own because the content
// security policy allows no inline script.
(() => {
  let scheme = "auto";
  try {
    scheme = localStorage.getItem("tenon-color-scheme") ?? "auto";
  } catch {
    // No storage: the system's choice holds.
  }
  const dark =
    scheme === "dark" || (scheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.setAttribute("data-mantine-color-scheme", dark ? "dark" : "light");
})();
