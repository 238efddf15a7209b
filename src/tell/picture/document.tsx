/** A page in one file: nothing is loaded from anywhere. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import type { ComponentChild, JSX } from 'preact';
import { renderToString } from 'preact-render-to-string';
import { ownerRules } from './owners.js';

/** The build puts both files into a folder beside the code. */
function asset(name: string): string {
  const built = new URL(`./picture/${name}`, import.meta.url);
  return readFileSync(existsSync(built) ? built : new URL(`./${name}`, import.meta.url), 'utf8');
}

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

/** The text of an HTML file. */
export function htmlDocument(title: string, body: ComponentChild): string {
  const colours = ownerRules((name, colour) => `:root { --${name}: ${colour}; }`);
  const [style, script] = [`${colours}\n${asset('page.css')}`, asset('page.js')];
  const allowed = `default-src 'none'; style-src ${hashOf(style)}; script-src ${hashOf(script)}`;
  const page: JSX.Element = (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta http-equiv="Content-Security-Policy" content={allowed} />
        <meta name="color-scheme" content="light dark" />
        <title>{title}</title>
        <style dangerouslySetInnerHTML={{ __html: style }} />
      </head>
      <body>
        <main>{body}</main>
        <script dangerouslySetInnerHTML={{ __html: script }} />
      </body>
    </html>
  );
  return `<!doctype html>\n${renderToString(page)}\n`;
}
