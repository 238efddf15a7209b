/** Which vlbr this is. */
import { createRequire } from 'node:module';

/** Put here by the build (tsup.config.ts); nobody has put it into code that runs as it is. */
declare const VLBR_COMMIT: string | null | undefined;

/**
 * The commit that this build was made of, 40 hex digits, with `-dirty` behind them if files
 * differed from it; null if nobody knows.
 */
export const COMMIT: string | null = typeof VLBR_COMMIT === 'string' ? VLBR_COMMIT : null;

/** The version of vlbr, as its package says it. */
export function packageVersion(): string {
  const { version } = createRequire(import.meta.url)('vlbr/package.json') as { version: string };
  return version;
}

/** Which vlbr this is: what two of them find can't be put together. */
export function ownVersion(): string {
  return COMMIT === null ? packageVersion() : `${packageVersion()} (${COMMIT})`;
}
