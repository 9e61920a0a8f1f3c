
"use strict";
(() => {
  /** An element with attributes and children; text is never read as HTML. */
  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes ?? {})) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== undefined && child !== null));
    return made;
  }

  const METHODS = ["get", "post", "put", "patch", "delete", "head", "options", "trace"];
  let api;

  /** What a reference stands for. */
  function resolve(value) {
    let found = value;
    for (let steps = 0; found && found.$ref && steps < 20; steps += 1) {
      found = found.$ref.replace(/^#\//, "").split("/").reduce((part, key) => part?.[key], api);
    }
    return found ?? {};
  }

  /** A value that fits a schema, to begin with. */
  function sample(schema, depth = 0) {
    const known = resolve(schema);
    if (depth > 6) return null;
    if ("default" in known) return known.default;
    if (known.enum) return known.enum[0];
    for (const key of ["anyOf", "oneOf", "allOf"]) if (known[key]) return sample(known[key][0], depth + 1);
    const type = Array.isArray(known.type) ? known.type[0] : known.type;
    if (type === "object" || known.properties) {
      const entries = Object.entries(known.properties ?? {});
      return Object.fromEntries(entries.map(([name, part]) => [name, sample(part, depth + 1)]));
    }
    if (type === "array") return known.items ? [sample(known.items, depth + 1)] : [];
    if (type === "integer" || type === "number") return 0;
    if (type === "boolean") return false;
    if (type === "null") return null;
    return type === "string" ? "" : null;
  }

  /** A schema as people read it: references replaced, a few levels deep. */
  function readable(schema, depth = 0) {
    if (typeof schema !== "object" || schema === null) return schema;
    if (depth > 8) return {};
    if (Array.isArray(schema)) return schema.map((part) => readable(part, depth + 1));
    return Object.fromEntries(Object.entries(resolve(schema)).map(([key, part]) => [key, readable(part, depth + 1)]));
  }

  function schemaBlock(content) {
    return Object.entries(content ?? {}).map(([type, media]) => {
      const text = JSON.stringify(readable(media.schema ?? {}), null, 2);
      return element("div", {}, element("div", { class: "dim" }, type), text === "{}" ? "anything" : element("pre", {}, text));
    });
  }

  function answers(operation) {
    return Object.entries(operation.responses ?? {}).map(([status, response]) => {
      const known = resolve(response);
      return element("tr", {}, element("th", {}, status), element("td", {}, known.description ?? "", ...(status === "200" ? schemaBlock(known.content) : [])));
    });
  }

  function securityText(operation) {
    const ways = (operation.security ?? []).flatMap((way) => Object.keys(way));
    return ways.length ? `Needs ${ways.join(" or ")}.` : "Open to everybody.";
  }

  /** A form that sends a request. */
  function tryOut(method, path, operation) {
    const fields = (operation.parameters ?? []).map((parameter) => {
      const known = resolve(parameter);
      const input = element("input", { "aria-label": known.name, placeholder: known.required ? "required" : "" });
      const row = element("tr", {}, element("td", {}, element("code", {}, known.name)), element("td", { class: "dim" }, known.in), element("td", {}, input));
      return { known, input, row };
    });
    const [type, media] = Object.entries(resolve(operation.requestBody).content ?? {})[0] ?? [];
    const start = type === "application/json" ? JSON.stringify(sample(media.schema), null, 2) : "";
    const body = type && element("textarea", { "aria-label": "Body", spellcheck: "false" });
    if (body) body.value = start === "null" ? "" : start;
    const credentials = element("input", { "aria-label": "Header", placeholder: "A header, such as Authorization: Bearer … or X-API-Key: …" });
    const output = element("pre", { "aria-live": "polite", hidden: true });
    const send = async () => {
      let target = path;
      const query = new URLSearchParams();
      const headers = {};
      for (const { known, input } of fields) {
        if (known.in === "path") target = target.replace(`{${known.name}}`, encodeURIComponent(input.value));
        else if (input.value && known.in === "query") query.append(known.name, input.value);
        else if (input.value) headers[known.name] = input.value;
      }
      const colon = credentials.value.indexOf(":");
      if (colon > 0) headers[credentials.value.slice(0, colon).trim()] = credentials.value.slice(colon + 1).trim();
      if (body && body.value) headers["Content-Type"] = type;
      output.hidden = false;
      output.textContent = "…";
      try {
        const text = query.size ? `${target}?${query}` : target;
        const answer = await fetch(text, { method: method.toUpperCase(), headers, body: body && body.value ? body.value : undefined });
        const lines = [...answer.headers].map(([name, value]) => `${name}: ${value}`);
        output.textContent = `${answer.status} ${answer.statusText}\n${lines.join("\n")}\n\n${await answer.text()}`;
      } catch (error) {
        output.textContent = String(error);
      }
    };
    return element("div", {},
      element("h2", {}, "Try it"),
      fields.length ? element("table", {}, ...fields.map((field) => field.row)) : undefined,
      body, element("p", {}, credentials), element("button", { type: "button", onclick: send }, "Send"), output);
  }

  function parameters(operation) {
    const rows = (operation.parameters ?? []).map((parameter) => {
      const known = resolve(parameter);
      const schema = resolve(known.schema ?? {});
      const type = [schema.type].flat().filter(Boolean).join(" or ") || "any";
      return element("tr", {}, element("td", {}, element("code", {}, known.name)), element("td", { class: "dim" }, `${known.in}, ${type}${known.required ? ", required" : ""}`), element("td", {}, known.description ?? ""));
    });
    return rows.length ? [element("h2", {}, "Parameters"), element("table", {}, ...rows)] : [];
  }

  function block(path, method, operation) {
    const inside = element("div", { class: "inside" });
    const made = element("details", { class: operation.deprecated ? "deprecated" : "", id: operation.operationId },
      element("summary", {}, element("span", { class: "method" }, method.toUpperCase()), element("span", { class: "path" }, path), element("span", { class: "dim" }, operation.summary ?? "")), inside);
    made.dataset.words = `${method} ${path} ${operation.summary ?? ""} ${operation.operationId}`.toLowerCase();
    made.addEventListener("toggle", () => {
      if (inside.hasChildNodes()) return;
      const request = resolve(operation.requestBody ?? {});
      inside.append(
        element("p", { class: "text" }, operation.description ?? ""),
        element("p", { class: "dim" }, `${operation.deprecated ? "Deprecated. " : ""}${securityText(operation)}`),
        ...parameters(operation),
        ...(request.content ? [element("h2", {}, "Body"), ...schemaBlock(request.content)] : []),
        element("h2", {}, "Answers"), element("table", {}, ...answers(operation)),
        tryOut(method, path, operation));
    });
    return made;
  }

  function show() {
    document.title = api.info.title;
    const blocks = Object.entries(api.paths).flatMap(([path, operations]) => METHODS.filter((method) => operations[method]).map((method) => block(path, method, operations[method])));
    const search = element("input", { type: "search", placeholder: `Search ${blocks.length} operations`, "aria-label": "Search" });
    search.addEventListener("input", () => {
      const words = search.value.toLowerCase().split(/\s+/);
      for (const each of blocks) each.hidden = !words.every((word) => each.dataset.words.includes(word));
    });
    document.body.append(
      element("header", {}, element("h1", {}, api.info.title), element("span", { class: "dim" }, `version ${api.info.version}`), element("a", { href: "openapi.json" }, "openapi.json"), search),
      element("p", { class: "text" }, api.info.description ?? ""),
      ...(blocks.length ? blocks : [element("p", { class: "dim" }, "There are no channels yet.")]));
    const wanted = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (wanted) { wanted.open = true; wanted.scrollIntoView(); }
  }

  fetch("openapi.json").then((answer) => {
    if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
    return answer.json();
  }).then((document) => { api = document; show(); }).catch((error) => document.body.append(element("p", {}, String(error))));
})();
