/** The schemas of JSON: one for each that vlbr prints, closed, with the words that vlbr knows. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { PV_SITES } from '../src/guest/pv/kvm_para.js';
import { KERNEL_VERSIONS } from '../src/guest/perf/kernel.js';
import { CPU_MODELS, LBR_INITS } from '../src/hw/cpu_models.js';
import { PROPERTY_NAMES, REACH_NAMES } from '../src/judge/properties.js';
import { ACTION_NAMES } from '../src/schedule/table.js';
import { fileOf, SCHEMAS, wrongWithFile } from './rig/schemas.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

type Node = Readonly<Record<string, unknown>>;

function filesUnder(folder: string, name: RegExp): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && name.test(entry.name))
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'));
}

/** Every object of a schema, itself included, each with where it is. */
function nodesOf(node: unknown, path: string): [path: string, node: Node][] {
  if (typeof node !== 'object' || node === null) return [];
  const inner = Object.entries(node).flatMap(([key, value]) => nodesOf(value, `${path}/${key}`));
  return [[path, node as Node], ...inner];
}

/** Parts of objects: what takes them in says that there are no other keys. */
const PARTS = [
  /^common\.json\/\$defs\/recording$/,
  /^cost-\d+\.json\/\$defs\/counts$/,
  /^(?:cost|verify)-\d+\.json\/properties\/(?:recordings|schedules)\/items\/allOf\/1$/,
  /^cost-\d+\.json\/\$defs\/played\/properties\/policies\/items\/allOf\/1$/,
  /^explain-\d+\.json\/\$defs\/entry$/,
  /^explain-\d+\.json\/\$defs\/story\/allOf\/1$/,
  /^explain-\d+\.json\/properties\/entries\/items\/anyOf\/1\/allOf\/1$/,
  /^look-\d+\.json\/allOf\/1$/,
  /^review-\d+\.json\/\$defs\/review$/,
  // A file with a schedule may have other keys.
  /^schedule-1\.json\/\$defs\/schedule$/,
];

describe('the schemas', () => {
  it('there is a schema for each JSON that vlbr prints, and for no other', () => {
    const named = filesUnder('src', /\.ts$/).flatMap(
      (text) => text.match(/vlbr\/[a-z-]+\/\d+/g) ?? [],
    );
    const files = [...new Set(named)].map(fileOf).toSorted();
    expect(files).toEqual([...SCHEMAS.keys()].filter((name) => name !== 'common.json'));
    for (const [name, schema] of SCHEMAS) {
      expect(schema).toMatchObject({
        $schema: 'https://json-schema.org/draft/2020-12/schema',
        $id: name,
      });
    }
  });

  it('every object of a schema says that it has no other keys', () => {
    const all = [...SCHEMAS].flatMap(([name, schema]) => nodesOf(schema, name));
    const open = all.filter(
      ([, node]) =>
        node['type'] === 'object' &&
        !('additionalProperties' in node) &&
        !('unevaluatedProperties' in node),
    );
    expect(all.length).toBeGreaterThan(500);
    expect(
      open.map(([path]) => path).filter((path) => !PARTS.some((part) => part.test(path))),
    ).toEqual([]);
    for (const part of PARTS) expect(open.some(([path]) => part.test(path))).toBe(true);
  });

  it('the words of a schema are those that vlbr knows', () => {
    const wordsOf = (name: string, ...keys: readonly string[]): unknown =>
      keys.reduce<unknown>((node, key) => (node as Node)[key], SCHEMAS.get(name));
    const common = (...keys: readonly string[]): unknown =>
      wordsOf('common.json', '$defs', ...keys);
    expect(common('property', 'enum')).toEqual(PROPERTY_NAMES);
    expect(common('reachCounts', 'propertyNames', 'enum')).toEqual(REACH_NAMES);
    const names = CPU_MODELS.map(({ name }) => name).join('|');
    expect(common('cpu', 'pattern')).toBe(`^(?:${names})(?:/\\d+)?$`);
    expect(common('kernelVersion', 'enum')).toEqual(KERNEL_VERSIONS);
    expect(common('actionName', 'enum')).toEqual(ACTION_NAMES);
    const listed = (what: string, key: string): unknown =>
      wordsOf('list-2.json', 'properties', what, 'items', 'properties', key, 'enum');
    expect(listed('policies', 'pv')).toEqual(PV_SITES);
    expect(listed('cpus', 'lbr_init')).toEqual(LBR_INITS);
  });

  it('every schedule that is kept is as its schema says', () => {
    const golden = filesUnder('test/golden', /^\d{3}-.*\.json$/);
    expect(golden.length).toBeGreaterThan(60);
    expect(golden.flatMap(wrongWithFile)).toEqual([]);
  });

  it.each([
    [{ property: 'leak' }, '/property must be equal to one of the allowed values'],
    [{ actions: [7] }, '/actions/0 must be string'],
    [{ vms: 0 }, '/vms must be >= 1'],
    [{ whose: 'me' }, '/whose must be equal to one of the allowed values'],
  ])('a schedule with %j is not as its schema says', (change, why) => {
    const [text] = filesUnder('test/golden', /^\d{3}-.*\.json$/);
    const wrong = wrongWithFile(JSON.stringify({ ...JSON.parse(text), ...change }));
    expect(wrong.join('\n')).toContain(why);
  });
});
