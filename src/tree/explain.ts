/** Explains why an lbr.c does not compile: what the shim lacks, and which code uses it. */
import type { KernelSource } from './source.js';

/** What clang quotes in its messages, in order. The first group is the name. */
const MISSING: readonly RegExp[] = [
  /^(?:implicit declaration of|call to undeclared) function '(\w+)'/,
  /^use of undeclared identifier '(\w+)'/,
  /^unknown type name '(\w+)'/,
  /^no member named '(\w+)'/,
  /'((?:struct|union|enum) \w+)'.*(?:incomplete|never completed)/,
  /(?:incomplete|never completed).*'((?:struct|union|enum) \w+)'/,
];

/** Start of clang's message about an undefined macro around a name, such as `EXPORT_SYMBOL(f)`. */
const NOT_A_MACRO = /^a parameter list without types/;

/** lbr.c and the shim both define the name, with different meanings. */
const OTHERWISE =
  /^(?:conflicting types for|redefinition of|static declaration of|redeclaration of) '(\w+)'/;

/** Messages of clang or its linker if they lack support for WebAssembly. */
const TOOLS: readonly (readonly [RegExp, string])[] = [
  [
    /unable to execute command|(?:wasm-ld|lld).*(?:not found|No such file|doesn't exist)/,
    'clang finds no linker; install it: apt-get install lld',
  ],
  [
    /No available targets are compatible|unknown target triple|unable to create target/,
    'this clang does not compile to WebAssembly; install one that does: apt-get install clang',
  ],
];

/** The line, from 1, in which a name is first used as a function; 0 if there is none. */
function lineOfCall(text: string, name: string): number {
  return text.split('\n').findIndex((line) => new RegExp(`\\b${name}\\s*\\(`).test(line)) + 1;
}

function undefinedSymbol(name: string, text: string): string {
  const line = lineOfCall(text, name);
  if (line === 0) return `it does not define ${name}(), which perf calls`;
  return `line ${line} uses ${name}(), which neither it nor the shim defines`;
}

/** The subject of clang's message, to follow `line N`. */
function complaint(message: string, code: string): string {
  const header = /^'([^']+)' file not found/.exec(message)?.[1];
  if (header !== undefined) return `includes ${header}, which the shim does not have`;
  const macro = NOT_A_MACRO.test(message) ? /(\w+)\s*\(/.exec(code)?.[1] : undefined;
  const name = macro ?? MISSING.map((pattern) => pattern.exec(message)?.[1]).find(Boolean);
  const owner = /^no member named '\w+' in '([^']+)'/.exec(message)?.[1];
  const member = owner === undefined ? '' : ` of ${owner}`;
  if (name !== undefined) return `uses ${name}${member}, which the shim does not have: ${code}`;
  const other = OTHERWISE.exec(message)?.[1];
  if (other !== undefined) return `does not define ${other} as the shim knows it: ${code}`;
  return `does not compile: ${message}: ${code}`;
}

/** What is missing from lbr.c, or does not compile. */
function trouble(stderr: string, text: string): string {
  const symbol = /undefined symbol: (\S+)/.exec(stderr)?.[1];
  if (symbol !== undefined) return undefinedSymbol(symbol, text);
  const error = /^.*?([\w.-]+):(\d+):\d+: (?:fatal )?error: (.*)$/m.exec(stderr);
  if (error === null) return `clang says: ${stderr.trim().split('\n')[0]}`;
  const [, file, line, message] = error;
  if (file !== 'lbr.c') return `the shim does not compile with it: ${file}:${line}: ${message}`;
  const code = (text.split('\n')[Number(line) - 1] ?? '').trim();
  return `line ${line} ${complaint(message, code)}`;
}

/**
 * @param stderr - output of clang, which has failed. Its first error is explained.
 * @param source - the source that clang compiled.
 */
export function explain(stderr: string, { text, info }: KernelSource): string {
  const tool = TOOLS.find(([pattern]) => pattern.test(stderr));
  if (tool !== undefined) return tool[1];
  const where = info.version === 'unknown' ? 'lbr.c' : `lbr.c of Linux ${info.version}`;
  return `${where}: ${trouble(stderr, text)}`;
}
