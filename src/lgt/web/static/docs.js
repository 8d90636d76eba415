const { paths } = await (await fetch("openapi.json")).json();
const list = document.getElementById("paths");
for (const [path, methods] of Object.entries(paths)) {
  for (const [method, about] of Object.entries(methods)) {
    const term = document.createElement("dt");
    const code = document.createElement("code");
    code.textContent = `${method.toUpperCase()} ${path}`;
    term.append(code);
    const text = document.createElement("dd");
    text.textContent = about.description || about.summary;
    list.append(term, text);
    const fields = about.requestBody?.content["multipart/form-data"]?.schema.properties || {};
    for (const [name, field] of Object.entries(fields)) {
      const line = document.createElement("dd");
      line.textContent = `${name}: ${field.description || "picture file"}`;
      line.className = "quiet";
      list.append(line);
    }
  }
}
