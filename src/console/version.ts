/** The version of vlbr, as its package says it. */
import { createRequire } from 'node:module';

export function packageVersion(): string {
  const { version } = createRequire(import.meta.url)('vlbr/package.json') as { version: string };
  return version;
}
