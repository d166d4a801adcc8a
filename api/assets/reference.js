// Shows /api/openapi.json. Everything is made of text nodes: nothing of the document is read as HTML.
"use strict";

const METHODS = ["get", "post", "put", "delete"];
let doc;

function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== undefined && value !== null) node.setAttribute(key, value);
  }
  for (const child of children.flat()) {
    if (child !== undefined && child !== null) node.append(child);
  }
  return node;
}

// `code` and lists are the only marks that the document's texts have.
function text(source) {
  return (source || "").split(/\n\n+/).filter(Boolean).map((block) => {
    const lines = block.split("\n");
    const items = lines.filter((line) => line.startsWith("- "));
    const words = lines.filter((line) => !line.startsWith("- ")).join(" ");
    const parts = [];
    if (words) parts.push(el("p", {}, marked(words)));
    if (items.length) parts.push(el("ul", {}, items.map((item) => el("li", {}, marked(item.slice(2))))));
    return parts;
  }).flat();
}

function marked(words) {
  return words.split("`").map((part, n) => (n % 2 ? el("code", {}, part) : part));
}

function followed(part) {
  if (!part || !part.$ref) return part;
  return part.$ref.slice(2).split("/").reduce((at, key) => at && at[key.replace(/~1/g, "/").replace(/~0/g, "~")], doc);
}

function nameOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  // Beside fields they say which of these go together, and the description says it in words.
  const several = !schema.properties && (schema.oneOf || schema.anyOf || schema.allOf);
  if (several) return several.map(nameOf).filter(Boolean).join(schema.allOf ? " & " : " | ");
  if (schema.enum) return schema.enum.map((word) => JSON.stringify(word)).join(" | ");
  const types = [].concat(schema.type || "any");
  const rest = types.filter((type) => type !== "null");
  let name = rest.join(" | ");
  if (rest.includes("array")) name = `list of ${nameOf(schema.items) || "any"}`;
  else if (rest.includes("object") && schema.additionalProperties) name = `map of ${nameOf(schema.additionalProperties)}`;
  else if (schema.format && schema.format !== "int32" && schema.format !== "int64") name += ` (${schema.format})`;
  return types.includes("null") && types.length > 1 ? `${name} | null` : name;
}

// The references below a schema, so that they can be opened.
function shown(schema, above) {
  const whole = followed(schema);
  const seen = schema && schema.$ref ? above.concat(schema.$ref) : above;
  if (!whole) return [];
  if (schema.$ref && above.includes(schema.$ref)) return [el("p", { class: "note" }, "as above")];
  const several = !whole.properties && (whole.oneOf || whole.anyOf || whole.allOf);
  const parts = [];
  if (schema.$ref && whole.description) parts.push(...text(whole.description));
  if (several) {
    for (const one of several) {
      if (one.type === "null") continue;
      parts.push(opened(nameOf(one), one, seen, one.description));
    }
  }
  if (whole.items) parts.push(...inner(whole.items, seen));
  if (whole.additionalProperties && whole.additionalProperties !== true) parts.push(...inner(whole.additionalProperties, seen));
  if (whole.properties) parts.push(fields(whole, seen));
  if (whole.enum && schema.$ref) parts.push(el("p", {}, el("code", {}, nameOf(whole))));
  return parts;
}

function isDeep(schema) {
  const whole = followed(schema);
  if (!whole) return false;
  if (whole.properties || whole.oneOf || whole.anyOf || whole.allOf) return true;
  if (schema.$ref && whole.enum) return true;
  return isDeep(whole.items) || (whole.additionalProperties && whole.additionalProperties !== true && isDeep(whole.additionalProperties));
}

function inner(schema, above) {
  return isDeep(schema) ? [opened(nameOf(schema), schema, above)] : [];
}

// Opened when somebody looks: the whole tree would be large.
function opened(name, schema, above, about) {
  if (!isDeep(schema)) return el("p", {}, el("code", {}, name), about ? ` ${about}` : "");
  const box = el("details", {}, el("summary", {}, el("code", {}, name), about ? ` ${about}` : ""));
  box.addEventListener("toggle", () => {
    if (box.open && box.children.length === 1) box.append(...shown(schema, above));
  });
  return box;
}

function fields(schema, above) {
  const required = schema.required || [];
  const rows = Object.entries(schema.properties).map(([name, field]) => {
    const about = el("td", {}, text(field.description || (field.$ref ? (followed(field) || {}).description : "")));
    if (isDeep(field)) about.append(...(field.$ref ? [opened(nameOf(field), field, above)] : shown(field, above)));
    return el("tr", {},
      el("th", { scope: "row" }, el("code", {}, name), required.includes(name) ? el("b", { title: "required" }, "*") : null),
      el("td", { class: "kind" }, nameOf(field)), about);
  });
  return el("table", {}, el("tbody", {}, rows));
}

function parameters(operation) {
  const all = (operation.parameters || []).map(followed);
  if (!all.length) return [];
  const rows = all.map((one) => el("tr", {},
    el("th", { scope: "row" }, el("code", {}, one.name), one.required ? el("b", { title: "required" }, "*") : null),
    el("td", { class: "kind" }, `${one.in}, ${nameOf(followed(one.schema)) || nameOf(one.schema)}`),
    el("td", {}, text(one.description))));
  return [el("h4", {}, "Parameters"), el("table", {}, el("tbody", {}, rows))];
}

function body(operation) {
  const asked = followed(operation.requestBody);
  if (!asked) return [];
  const [type, content] = Object.entries(asked.content)[0];
  const schema = content.schema;
  const example = content.example || (followed(schema) || {}).example;
  return [el("h4", {}, "Body ", el("small", {}, type)), ...shown(schema, []),
    example ? el("pre", {}, JSON.stringify(example, null, 2)) : null];
}

function answers(operation) {
  const rows = Object.entries(operation.responses).map(([status, answer]) => {
    const whole = followed(answer);
    const about = el("td", {}, text(whole.description));
    for (const [type, content] of Object.entries(whole.content || {})) {
      if (type === "application/problem+json") continue;
      about.append(el("p", {}, el("small", {}, type), " ", isDeep(content.schema) ? "" : nameOf(content.schema)));
      if (isDeep(content.schema)) about.append(opened(nameOf(content.schema), content.schema, []));
    }
    return [Number(status) < 400, el("tr", {}, el("th", { scope: "row" }, status), about)];
  });
  const well = rows.filter(([isWell]) => isWell).map(([, row]) => row);
  const bad = rows.filter(([isWell]) => !isWell).map(([, row]) => row);
  return [el("h4", {}, "Answers"), el("table", {}, el("tbody", {}, well)),
    el("details", {}, el("summary", {}, `Errors: problem+json (${bad.length})`), el("table", {}, el("tbody", {}, bad)))];
}

function operation(path, method, one) {
  const id = one.operationId;
  const roles = one["x-roles"] || [];
  const open = (one.security || []).length === 0;
  const box = el("article", { id, "data-words": `${method} ${path} ${one.summary}`.toLowerCase() },
    el("h3", {}, el("a", { href: `#${id}`, class: `method ${method}` }, method.toUpperCase()), " ", el("code", {}, path)),
    el("p", { class: "summary" }, marked(one.summary)),
    el("p", { class: "roles" }, open ? "no token" : roles.join(" · ")),
    text((one.description || "").replace(/(^|\n\n)Needs [^\n]*$/, "")),
    parameters(one), body(one), answers(one));
  return box;
}

function show() {
  document.title = `${doc.info.title} ${doc.info.version}: REST`;
  document.getElementById("about").replaceChildren(
    el("h2", {}, `${doc.info.title} ${doc.info.version}`), ...text(doc.info.description),
    el("p", {}, el("a", { href: "/api/openapi.json" }, "openapi.json")));
  const all = document.getElementById("all");
  const routes = document.getElementById("routes");
  all.replaceChildren();
  for (const tag of doc.tags) {
    const section = el("section", {}, el("h2", { id: `tag-${tag.name}` }, tag.name), el("p", {}, tag.description));
    const list = el("ul", {});
    for (const [path, item] of Object.entries(doc.paths)) {
      for (const method of METHODS.filter((method) => item[method] && item[method].tags.includes(tag.name))) {
        const one = item[method];
        section.append(operation(path, method, one));
        list.append(el("li", { "data-of": one.operationId },
          el("a", { href: `#${one.operationId}` }, el("span", { class: `method ${method}` }, method.toUpperCase()), " ", path.replace("/api/v1", ""))));
      }
    }
    all.append(section);
    routes.append(el("h2", {}, el("a", { href: `#tag-${tag.name}` }, tag.name)), list);
  }
  document.getElementById("find").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const box of document.querySelectorAll("article")) {
      const fits = words.every((word) => box.dataset.words.includes(word));
      box.hidden = !fits;
      document.querySelector(`[data-of="${box.id}"]`).hidden = !fits;
    }
  });
  if (location.hash) {
    const wanted = document.getElementById(location.hash.slice(1));
    if (wanted) wanted.scrollIntoView();
  }
}

fetch("/api/openapi.json").then((answer) => answer.json()).then((read) => { doc = read; show(); }, (error) => {
  document.getElementById("about").replaceChildren(el("p", {}, `The reference cannot be read: ${error.message}`));
});
