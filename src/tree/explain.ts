/** Says in one line why an lbr.c could not be compiled: what the shim lacks, and who uses it. */
import type { KernelSource } from './source.js';

/** What clang quotes, in the order of its messages: the first group is the name. */
const MISSING: readonly RegExp[] = [
  /^(?:implicit declaration of|call to undeclared) function '(\w+)'/,
  /^use of undeclared identifier '(\w+)'/,
  /^unknown type name '(\w+)'/,
  /^no member named '(\w+)'/,
  /'((?:struct|union|enum) \w+)'.*(?:incomplete|never completed)/,
  /(?:incomplete|never completed).*'((?:struct|union|enum) \w+)'/,
];

/** A macro that nobody defines, around the name of what it would declare. */
const NOT_A_MACRO = /^a parameter list without types/;

/** lbr.c and the shim both have it, and they differ. */
const OTHERWISE =
  /^(?:conflicting types for|redefinition of|static declaration of|redeclaration of) '(\w+)'/;

/** What clang says when it, or what it calls, is not fit for WebAssembly. */
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

/** Where a name is first used as a function, from 1; 0 if it is not. */
function lineOfCall(text: string, name: string): number {
  return text.split('\n').findIndex((line) => new RegExp(`\\b${name}\\s*\\(`).test(line)) + 1;
}

function undefinedSymbol(name: string, text: string): string {
  const line = lineOfCall(text, name);
  if (line === 0) return `it does not define ${name}(), which perf calls`;
  return `line ${line} uses ${name}(), which neither it nor the shim defines`;
}

/** What a message of clang is about, after `line N`. */
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

/** What of lbr.c does not compile, or is missing. */
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
 * @param stderr - of clang, which has failed; its first error counts.
 * @param source - what it was given.
 */
export function explain(stderr: string, { text, info }: KernelSource): string {
  const tool = TOOLS.find(([pattern]) => pattern.test(stderr));
  if (tool !== undefined) return tool[1];
  const where = info.version === 'unknown' ? 'lbr.c' : `lbr.c of Linux ${info.version}`;
  return `${where}: ${trouble(stderr, text)}`;
}
