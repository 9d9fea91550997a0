// Shows openapi.json, which is on the same server. Everything is set as text, so nothing in it is obeyed.
'use strict';

const make = (name, text, ...children) => {
  const node = document.createElement(name);
  if (text) node.textContent = text;
  node.append(...children);
  return node;
};

const table = (heads, rows) => {
  const cells = (kind, row) => make('tr', '', ...row.map((cell) => (cell instanceof Node ? make(kind, '', cell) : make(kind, cell))));
  return make('table', '', cells('th', heads), ...rows.map((row) => cells('td', row)));
};

const show = (api) => {
  const at = (path) => path.split('/').slice(1).reduce((node, name) => node[name], api);
  const resolve = (node) => (node && node.$ref ? at(node.$ref) : node);
  // A schema with everything that it refers to.
  const whole = (node) => {
    if (Array.isArray(node)) return node.map(whole);
    if (node === null || typeof node !== 'object') return node;
    if (node.$ref) return whole(at(node.$ref));
    return Object.fromEntries(Object.entries(node).map(([name, value]) => [name, whole(value)]));
  };
  const json = (value) => make('pre', JSON.stringify(value, null, 2));
  const codes = (response) => Object.values(response.content || {})
    .flatMap(({ schema }) => (schema.allOf || []).flatMap((part) => part.properties?.code?.enum || [])).join(', ');
  const parameter = (given) => {
    const { name, in: where, required, description } = resolve(given);
    return [make('code', name), where + (required ? ', required' : ''), description || ''];
  };
  const answer = ([status, given]) => {
    const response = resolve(given);
    return [status, response.description, make('code', codes(response))];
  };
  const operation = (path, method, what) => {
    const summary = make('summary', '', make('b', method.toUpperCase()), make('code', path), ` ${what.summary}`);
    if (what.security) summary.append(Object.assign(make('span', ' internal'), { className: 'internal' }));
    const parts = [summary];
    if (what.description) parts.push(make('p', what.description));
    if (what.parameters) parts.push(make('h4', 'Parameters'), table(['name', 'in', ''], what.parameters.map(parameter)));
    for (const [media, { schema, example }] of Object.entries(what.requestBody?.content || {})) {
      parts.push(make('h4', `Body: ${media}`), json(example), json(whole(schema)));
    }
    parts.push(make('h4', 'Answers'), table(['status', '', 'codes'], Object.entries(what.responses).map(answer)));
    for (const [status, given] of Object.entries(what.responses)) {
      const schema = resolve(given).content?.['application/json']?.schema;
      if (schema && status < 300) parts.push(make('h4', `${status}: application/json`), json(whole(schema)));
    }
    return make('details', '', ...parts);
  };
  const all = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, what]) => [path, method, what]));
  document.getElementById('title').textContent = api.info.title;
  document.getElementById('about').textContent = api.info.description;
  for (const { name, description } of api.tags) {
    const own = all.filter(([, , what]) => what.tags.includes(name));
    document.getElementById('operations').append(make('h2', name), make('p', description),
      ...own.map((one) => operation(...one)));
  }
};

fetch('openapi.json').then((answer) => answer.json()).then(show).catch((error) => {
  document.getElementById('about').textContent = `openapi.json cannot be shown: ${error}`;
});
