/**
 * Whatever comments and documents refer to must exist in the repository: sections by their
 * headings, files by their paths, simplifications by their numbers in docs/FIDELITY.md.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Documents whose sections are referred to by `NAME, "Heading"`. */
const DOCUMENTS: ReadonlyMap<string, string> = new Map([
  ['README', 'README.md'],
  ['ARCHITECTURE', 'ARCHITECTURE.md'],
  ['FIDELITY', 'docs/FIDELITY.md'],
  ['FINDINGS', 'docs/FINDINGS.md'],
  ['RECOMMENDATION', 'docs/RECOMMENDATION.md'],
  ['MUTANTS', 'docs/MUTANTS.md'],
]);

/**
 * Names of design notes that are not in the repository. The character classes keep the patterns
 * from matching themselves.
 */
const NOT_HERE: readonly RegExp[] = [/\bDESIG[N]\b/, /\bpolicie[s]\.md\b/];

/** Files made by a build or by tools; a fresh clone has none of them. */
const MADE = /^(dist|coverage|\.cache)\//;

interface Prose {
  /** Path from the root of the repository. */
  readonly path: string;
  readonly text: string;
}

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** The comments of a program, line by line. Lines without comments are empty. */
function comments(text: string): string {
  return text
    .split('\n')
    .map((line) => /(?:^\s*(?:\/\*\*?|\*)|(?:^|\s)\/\/)(?:\s(.*))?$/.exec(line)?.[1] ?? '')
    .join('\n');
}

function filesUnder(folder: string, names: RegExp): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && names.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length));
}

const programs = [
  ...readdirSync(ROOT).filter((name) => /\.(ts|mjs)$/.test(name)),
  ...['src', 'test', 'bench', 'scripts'].flatMap((folder) =>
    filesUnder(folder, /\.(tsx?|c|h|mjs)$/),
  ),
];
const documents = [
  ...readdirSync(ROOT).filter((name) => name.endsWith('.md')),
  ...['docs', 'examples', 'bench', 'test'].flatMap((folder) => filesUnder(folder, /\.md$/)),
];
const prose: readonly Prose[] = [
  ...documents.map((path) => ({ path, text: read(path) })),
  ...programs.map((path) => ({ path, text: comments(read(path)) })),
];

function headings(path: string): string[] {
  return [...read(path).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading);
}

/** A heading may go on after the name, with a parenthesis or a comma. */
function isSection(path: string, name: string): boolean {
  const wanted = name.replaceAll(/\s+/g, ' ');
  return headings(path).some((heading) => heading.replace(/ \(.*|, .*/, '') === wanted);
}

/** Matches of a pattern in comments and documents that `refuses` rejects, each with its file. */
function offences(pattern: RegExp, refuses: (found: RegExpMatchArray, at: Prose) => boolean) {
  return prose.flatMap((at) =>
    [...at.text.matchAll(pattern)].filter((found) => refuses(found, at)).map(([f]) => [at.path, f]),
  );
}

const SECTION = new RegExp(`\\b(${[...DOCUMENTS.keys()].join('|')})(?:\\.md)?,\\s+"([^"]+)"`, 'g');
const FILE =
  /(?<![\w./-])(?:src|test|docs|bench|examples)\/[\w./-]*\.(?:ts|md|json|gz|c|h|mjs|patch)\b/g;

describe('what is referred to', () => {
  it('references are checked in every document and in the comments of every program', () => {
    const paths = prose.map(({ path }) => path);
    for (const path of [
      ...DOCUMENTS.values(),
      'test/references.test.ts',
      'src/tree/shim/driver.c',
    ]) {
      expect(paths).toContain(path);
    }
    expect(comments('/** One. */\nlet x = 1; // two\n * three\n"four";')).toBe(
      'One. */\ntwo\nthree\n',
    );
  });

  it('a section that is referred to is always a heading', () => {
    expect(
      offences(SECTION, ([, name, section]) => !isSection(DOCUMENTS.get(name) ?? '', section)),
    ).toEqual([]);
    expect(prose.flatMap(({ text }) => [...text.matchAll(SECTION)]).length).toBeGreaterThan(5);
    expect(isSection('README.md', 'Nowhere')).toBe(false);
  });

  it('a file that is referred to always exists', () => {
    expect(offences(FILE, ([path]) => !MADE.test(path) && !existsSync(join(ROOT, path)))).toEqual(
      [],
    );
  });

  it('a program that a document names always exists', () => {
    const paths = programs.map((path) => `/${path}`);
    const named = documents.flatMap((path) =>
      [...read(path).matchAll(/`([\w./-]+\.ts)[:`]/g)].map(([, name]) => name),
    );
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter((name) => !paths.some((path) => path.endsWith(`/${name}`)))).toEqual([]);
  });

  it('the target of a link always exists', () => {
    const broken = offences(/\]\(([^)\s]+)\)/g, ([, target], { path }) => {
      if (/^https?:/.test(target)) return false;
      const [name, anchor] = target.split('#');
      const file = name === '' ? path : join(dirname(path), name);
      if (!existsSync(join(ROOT, file))) return true;
      const anchors = headings(file).map((heading) =>
        heading
          .toLowerCase()
          .replace(/[^\w\s-]/g, '')
          .replaceAll(' ', '-'),
      );
      return anchor !== undefined && !anchors.includes(anchor);
    });
    expect(broken).toEqual([]);
  });

  it('a number of FIDELITY that is referred to always has a row', () => {
    const rows = new Set(
      [...read('docs/FIDELITY.md').matchAll(/^\*\*(F\d+)\*\*/gm)].map((m) => m[1]),
    );
    expect(rows.size).toBeGreaterThan(60);
    expect(offences(/(?<![\w/])F\d{1,3}\b/g, ([row]) => !rows.has(row))).toEqual([]);
  });

  it('a document outside the repository is never referred to', () => {
    const sources = programs.map((path) => ({ path, text: read(path) }));
    const all = [...sources, ...prose];
    for (const name of NOT_HERE) {
      expect(all.filter(({ text }) => name.test(text)).map(({ path }) => path)).toEqual([]);
    }
    // Section numbers would point to those notes, too.
    expect(offences(/\bsection [A-Z0-9]\b/g, () => true)).toEqual([]);
  });
});
