import type { Route } from './route.ts';

/** `/docs`: the operations for people, one page without anything from elsewhere. */
export function docsPage(routes: readonly Route[]): string {
  const rows = routes.map(
    ({ method, path, scope, about, answers }) =>
      `<tr><td><b>${method}</b></td><td><code>${text(path)}</code></td><td>${scope}</td><td>${text(about)}</td><td>${Object.entries(answers)
        .map(([status, answer]) => `${status} ${text(answer.about)}`)
        .join('<br>')}</td></tr>`,
  );
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Fixgate API</title>
<style>body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem}table{border-collapse:collapse;width:100%}
td,th{border-bottom:1px solid #ddd;padding:.4rem .6rem;text-align:left;vertical-align:top}code{white-space:nowrap}</style>
<h1>Fixgate API</h1>
<p>Bearer tokens with scopes: <code>fixgate token create --name me --scope read</code>. Errors are problem documents (RFC 9457) that name the
field. The schemas: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1).</p>
<table><tr><th></th><th>path</th><th>scope</th><th>what</th><th>answers</th></tr>
${rows.join('\n')}
</table></html>
`;
}

function text(plain: string): string {
  return plain.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}
