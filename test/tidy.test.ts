/**
 * Style rules as tests.
 *
 * Each rule is a function from a file to its offences, so that the last block can test the rules on
 * bad snippets. Forbidden words are spelled here so that a rule does not match this file.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** The first line count that is too high. */
const FILE_LINES_LIMIT = 500;
const FUNCTION_LINES_LIMIT = 70;
const COLUMNS_MAX = 100;

/** `path:function` of functions that are as long in the kernel. */
const LONG_KERNEL_FUNCTIONS: ReadonlySet<string> = new Set([]);

/** Files in src/host/policy/ that are not policies. */
const SHARED_POLICY_FILES: ReadonlySet<string> = new Set([
  'guarded.ts',
  'index.ts',
  'lazy_event.ts',
  'parked_stack.ts',
  'policy.ts',
]);

/**
 * The rooms of src/, from the ground up: a room imports only rooms before it. `schedule` (what may
 * happen) and `judge` (what must hold) do not know each other, `search` knows nothing of LBR, and
 * no question imports another.
 */
const ROOMS: readonly string[] = [
  'hw',
  'search',
  'guest',
  'host',
  'machine',
  'tree',
  'recording',
  'schedule',
  'judge',
  'campaign',
  'states',
  'console',
  'store',
  'tell',
  'questions',
  'fast_check.ts',
  'main.ts',
  'guarded.ts',
  'index.ts',
];

/** Pairs of rooms: the first must not import the second, although the order allows it. */
const APART: ReadonlySet<string> = new Set(['judge schedule', 'host guest', 'guest search']);

/** Folders of the model, in which a run must depend on its schedule only. */
const DETERMINISTIC = /^src\/(hw|search|guest|host|machine|schedule|judge|states)\//;
const BANNED_MEMBERS: ReadonlySet<string> = new Set(['Math.random', 'Date.now', 'performance.now']);
const BANNED_NAMES: ReadonlySet<string> = new Set(['setTimeout', 'setInterval', 'setImmediate']);

/** Indices that only src/hw/msr_index.ts may contain, as strings, so that they pass here. */
const MSR_INDICES: ReadonlySet<number> = new Set(
  ['0x1c8', '0x1c9', '0x1d9', '0x345', '0x680', '0x6c0', '0xdc0'].map(Number),
);

/** The character classes keep the patterns from matching themselves. */
const LEFTOVERS: readonly RegExp[] = [
  /\bTO[D]O\b/,
  /\bFIX[M]E\b/,
  /\b(it|test|describe)\.(only|skip|todo)\b/,
  /[/]work[/]/,
  /[.]library\b/,
  /^[<>]{7} /,
];

interface File {
  /** Path from the root of the repository, with `/`. */
  readonly path: string;
  readonly text: string;
}

type Rule = (file: File) => string[];

function filesUnder(folder: string, extensions: RegExp): File[] {
  if (!existsSync(join(ROOT, folder))) return [];
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && extensions.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length).replaceAll('\\', '/'))
    .sort()
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
}

function filesAtRoot(extensions: RegExp): File[] {
  return readdirSync(ROOT)
    .filter((name) => extensions.test(name) && name !== 'package-lock.json')
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
}

function lines(text: string): string[] {
  return text.replace(/\n$/, '').split('\n');
}

/** Calls `visit` for every node of the file with the node's first line, counted from 1. */
function walk(file: File, visit: (node: ts.Node, line: number) => void): void {
  const source = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.ES2022, true);
  const descend = (node: ts.Node): void => {
    visit(node, source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1);
    ts.forEachChild(node, descend);
  };
  descend(source);
}

const fileLength: Rule = ({ path, text }) => {
  const count = lines(text).length;
  return count < FILE_LINES_LIMIT ? [] : [`${path}: ${count} lines`];
};

const functionLength: Rule = (file) => {
  const offences: string[] = [];
  walk(file, (node, line) => {
    if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return;
    const count = lines(node.getText()).length;
    const name = node.name?.getText() ?? `function at line ${line}`;
    if (count < FUNCTION_LINES_LIMIT || LONG_KERNEL_FUNCTIONS.has(`${file.path}:${name}`)) return;
    offences.push(`${file.path}:${line}: ${name} has ${count} lines`);
  });
  return offences;
};

const columns: Rule = ({ path, text }) =>
  lines(text).flatMap((line, i) => {
    const count = [...line].length;
    return count <= COLUMNS_MAX ? [] : [`${path}:${i + 1}: ${count} columns`];
  });

const nondeterminism: Rule = (file) => {
  const offences: string[] = [];
  if (!DETERMINISTIC.test(file.path)) return offences;
  walk(file, (node, line) => {
    const banned =
      (ts.isPropertyAccessExpression(node) && BANNED_MEMBERS.has(node.getText())) ||
      (ts.isIdentifier(node) && BANNED_NAMES.has(node.text)) ||
      (ts.isNewExpression(node) && node.expression.getText() === 'Date');
    if (banned) offences.push(`${file.path}:${line}: ${node.getText()}`);
  });
  return offences;
};

/** Every module that the file names: static, re-exported, dynamic or in a type. */
function importsOf(file: File): { readonly name: string; readonly line: number }[] {
  const found: { name: string; line: number }[] = [];
  walk(file, (node, line) => {
    let module: ts.Node | undefined;
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) module = node.moduleSpecifier;
    else if (ts.isImportTypeNode(node)) module = ts.forEachChild(node.argument, (child) => child);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      module = node.arguments[0];
    }
    if (module && ts.isStringLiteralLike(module)) found.push({ name: module.text, line });
  });
  return found;
}

/** The first folder below src/; the file name for a file in src/ itself; '' outside src/. */
function roomOf(path: string): string {
  const [top, layer] = path.split('/');
  return top === 'src' && layer !== undefined ? layer : '';
}

/** The question that a file belongs to; '' outside src/questions/. */
function questionOf(path: string): string {
  const [, room, question] = path.split('/');
  return room === 'questions' ? (question ?? '') : '';
}

function mayImport(from: string, to: string): boolean {
  const [fromRoom, toRoom] = [roomOf(from), roomOf(to)];
  if (fromRoom === toRoom) return questionOf(from) === questionOf(to);
  if (!ROOMS.includes(fromRoom) || !ROOMS.includes(toRoom)) return false;
  if (fromRoom === 'host' && to.startsWith('src/guest/pv/')) return true;
  const engine = fromRoom === 'search' && toRoom !== 'hw';
  if (engine || APART.has(`${fromRoom} ${toRoom}`)) return false;
  return ROOMS.indexOf(toRoom) < ROOMS.indexOf(fromRoom);
}

const importOffences: Rule = (file) => {
  if (roomOf(file.path) === '') return [];
  return importsOf(file).flatMap(({ name, line }) => {
    const offence = `${file.path}:${line}: imports ${name}`;
    // src/hw imports nothing outside itself, not even packages or node: modules.
    if (!name.startsWith('.')) return roomOf(file.path) === 'hw' ? [offence] : [];
    return mayImport(file.path, posix.join(posix.dirname(file.path), name)) ? [] : [offence];
  });
};

const leftovers: Rule = ({ path, text }) =>
  lines(text).flatMap((line, i) =>
    LEFTOVERS.filter((pattern) => pattern.test(line)).map((p) => `${path}:${i + 1}: ${p.source}`),
  );

const policyExports: Rule = ({ path, text }) => {
  const [, name] = /^src\/host\/policy\/([^/]+)$/.exec(path) ?? [];
  if (name === undefined || SHARED_POLICY_FILES.has(name)) return [];
  return ['cites', 'assumes', 'knownFailures']
    .filter((word) => !new RegExp(`\\b${word}\\b`).test(text))
    .map((word) => `${path}: no ${word}`);
};

const msrLiterals: Rule = (file) => {
  const offences: string[] = [];
  if (file.path === 'src/hw/msr_index.ts') return offences;
  walk(file, (node, line) => {
    if (!ts.isNumericLiteral(node) && !ts.isBigIntLiteral(node)) return;
    const spelling = node.getText().toLowerCase().replaceAll('_', '').replace(/n$/, '');
    if (!spelling.startsWith('0x') || !MSR_INDICES.has(Number(spelling))) return;
    offences.push(`${file.path}:${line}: ${node.getText()}`);
  });
  return offences;
};

const src = filesUnder('src', /\.tsx?$/);
const test = filesUnder('test', /\.ts$/);
const bench = [...filesUnder('bench', /\.ts$/), ...filesUnder('scripts', /\.ts$/)];
const typescript = [...src, ...test, ...bench, ...filesAtRoot(/\.ts$/)];
const written = [
  ...['src', 'test', 'bench', 'docs', 'examples'].flatMap((folder) =>
    filesUnder(folder, /\.(tsx?|js|mjs|css|json|md|c|h)$/),
  ),
  ...filesAtRoot(/\.(ts|json|md)$/),
];

describe('tidy', () => {
  it('the rules of tidy always see this file, so that none passes on an empty list', () => {
    expect(typescript.map((file) => file.path)).toContain('test/tidy.test.ts');
  });
  it.each<[claim: string, files: readonly File[], rule: Rule]>([
    [`a file always has fewer than ${FILE_LINES_LIMIT} lines`, [...src, ...test], fileLength],
    [`a function of src/ has fewer than ${FUNCTION_LINES_LIMIT} lines`, src, functionLength],
    [`a line never has more than ${COLUMNS_MAX} columns`, typescript, columns],
    ['the model never takes time or chance from outside the schedule', src, nondeterminism],
    ['a room only imports rooms below it', src, importOffences],
    ['no file has unfinished work, a conflict, a focused test or a local path', written, leftovers],
    ['each policy says what it cites, what it assumes and where it fails', src, policyExports],
    ['an MSR index is spelled in src/hw/msr_index.ts alone', typescript, msrLiterals],
  ])('%s', (_claim, files, rule) => {
    expect(files.flatMap(rule)).toEqual([]);
  });
});

describe('the rules of tidy', () => {
  const longBody = '\n'.repeat(FUNCTION_LINES_LIMIT);
  type Snippet = readonly [name: string, rule: Rule, path: string, text: string];
  const bad: readonly Snippet[] = [
    ['a long file', fileLength, 'src/hw/a.ts', '//\n'.repeat(FILE_LINES_LIMIT)],
    ['a long function', functionLength, 'src/hw/a.ts', `function f() {${longBody}}`],
    ['a long method', functionLength, 'src/hw/a.ts', `class C { m() {${longBody}} }`],
    ['a long arrow', functionLength, 'src/hw/a.ts', `const f = () => {${longBody}};`],
    ['a wide line', columns, 'src/hw/a.ts', '/'.repeat(COLUMNS_MAX + 1)],
    ['a random number', nondeterminism, 'src/machine/a.ts', 'const x = Math.random();'],
    ['the date', nondeterminism, 'src/hw/a.ts', 'const x = new Date();'],
    ['a timer', nondeterminism, 'src/host/a.ts', 'setTimeout(f, 1);'],
    ['hw -> guest', importOffences, 'src/hw/a.ts', "import '../guest/perf/b.js';"],
    ['hw -> a package', importOffences, 'src/hw/a.ts', "import 'node:fs';"],
    ['guest -> host', importOffences, 'src/guest/pv/a.ts', "import '../../host/b.js';"],
    ['host -> guest/perf', importOffences, 'src/host/a.ts', "import '../guest/perf/b.js';"],
    ['schedule -> judge', importOffences, 'src/schedule/a.ts', "export * from '../judge/b.js';"],
    ['judge -> schedule', importOffences, 'src/judge/a.ts', "import '../schedule/b.js';"],
    ['search -> machine', importOffences, 'src/search/a.ts', "import '../machine/b.js';"],
    [
      'one question -> another',
      importOffences,
      'src/questions/verify/a.ts',
      "import '../review/b.js';",
    ],
    ['console -> index', importOffences, 'src/console/a.ts', "await import('../index.js');"],
    ['a type of a higher room', importOffences, 'src/hw/a.ts', "let x: import('../host/b.js').X;"],
    ['an unknown folder', importOffences, 'src/hw/a.ts', "import '../utils/b.js';"],
    ['unfinished work', leftovers, 'src/hw/a.ts', ['// TO', 'DO'].join('')],
    ['a focused test', leftovers, 'test/a.test.ts', ['it', 'only(f)'].join('.')],
    ['a local path', leftovers, 'docs/a.md', ['', 'work', 'main'].join('/')],
    ['a conflict', leftovers, 'a.md', ['<<<<', '<<< HEAD'].join('')],
    ['a policy that says nothing', policyExports, 'src/host/policy/a.ts', 'export const a = {};'],
    ['an MSR index', msrLiterals, 'src/guest/perf/a.ts', 'rdmsr(0x1C9);'],
  ];
  const good: readonly Snippet[] = [
    ['host -> guest/pv', importOffences, 'src/host/policy/a.ts', "import '../../guest/pv/b.js';"],
    ['machine -> host', importOffences, 'src/machine/a.ts', "import '../host/b.js';"],
    ['index -> all', importOffences, 'src/index.ts', "export { x } from './questions/b.js';"],
    ['a banned name in a comment', nondeterminism, 'src/machine/a.ts', '// never Math.random()'],
    ['the date in a report', nondeterminism, 'src/tell/a.ts', 'const x = new Date();'],
    ['a complete policy', policyExports, 'src/host/policy/a.ts', 'cites assumes knownFailures'],
  ];
  it.each(bad)('the rule always reports %s', (_name, rule, path, text) => {
    expect(rule({ path, text }).length).toBeGreaterThan(0);
  });
  it.each(good)('the rule never reports %s', (_name, rule, path, text) => {
    expect(rule({ path, text })).toEqual([]);
  });
});
