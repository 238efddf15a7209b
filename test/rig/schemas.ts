/** The schemas that are shipped, and what of a JSON is not as they say. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { JsonReport } from '../../src/campaign/replay_file.js';

const FOLDER = fileURLToPath(new URL('../../schema', import.meta.url));

/** Each schema by the name of its file. */
export const SCHEMAS: ReadonlyMap<string, object> = new Map(
  readdirSync(FOLDER)
    .toSorted()
    .map((name) => [name, JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as object]),
);

const ajv = new Ajv2020({ schemas: [...SCHEMAS.values()], allErrors: true, strictTypes: true });

/** The file that has the schema of a JSON: that of `vlbr/verify/2` is verify-2.json. */
export function fileOf(schema: unknown): string {
  const [, name = '', number = ''] = /^vlbr\/([a-z-]+)\/(\d+)$/.exec(String(schema)) ?? [];
  return `${name}-${number}.json`;
}

function wrongBy(ref: string, json: unknown): string[] {
  const validate = ajv.getSchema(ref);
  if (validate === undefined) return [`there is no schema ${ref}`];
  if (validate(json) === true) return [];
  return (validate.errors ?? []).map(
    ({ instancePath, message = '', params }) =>
      `${instancePath} ${message} ${JSON.stringify(params)}`,
  );
}

/** What of a file with a schedule is not as its schema says: nothing, if all is well. */
export function wrongWithFile(text: string): string[] {
  return wrongBy('schedule-1.json', JSON.parse(text));
}

/** The same of what a command has printed with --json. */
export function wrongWithPrinted(text: string): string[] {
  const json = JSON.parse(text) as { readonly schema?: unknown };
  const file = fileOf(json.schema);
  // vlbr replay prints a file that it reads, with what came of it.
  return wrongBy(file === 'schedule-1.json' ? `${file}#/$defs/printed` : file, json);
}

/** The same of what a command hands over to be printed. */
export function wrongWithMade(report: JsonReport): string[] {
  return wrongWithPrinted(JSON.stringify({ ...report, version: '0.0.0', commit: null }));
}
