/** What single things cost: a data file, which --costs replaces in part. */
import { UsageError } from '../../console/errors.js';
import { smallFile } from '../../console/small_file.js';
import { grouped } from '../../console/text.js';
import { printable } from '../../recording/trace_error.js';
import COSTS from '../../machine/costs.json' with { type: 'json' };

/** One entry of the data file. */
export interface Price {
  readonly value: number;
  /** Between what the value may lie. */
  readonly low: number;
  readonly high: number;
  readonly unit: string;
  readonly says: string;
  /** Where the value is from. It begins with `none` or `no measurement` if nobody has measured. */
  readonly source: string;
}

export type PriceName = keyof typeof COSTS;
export type CostTable = Readonly<Record<PriceName, Price>>;

export const PRICE_NAMES: readonly PriceName[] = Object.keys(COSTS) as PriceName[];
export const DEFAULT_COSTS: CostTable = COSTS;

/** Whether a price is nobody's measurement. */
export function isParameter({ source }: Price): boolean {
  return /^(none|no measurement)/.test(source);
}

/** Above, sums of cycles would be no numbers that can be printed. */
const VALUE_MAX = 1e9;

/** GHz of any CPU there is. */
const GHZ = { low: 0.01, high: 100 } as const;

const NAMES = PRICE_NAMES.join(', ');
const SAYS = `give a JSON object such as {"exit": 2500, "ghz": 2.6}; names: ${NAMES}`;

/**
 * The table with the numbers of a file in place of the default ones.
 *
 * @throws UsageError for a file that can't be read, a name that is none, and a number that no cost
 *   can be.
 */
export function readCosts(path: string | undefined): CostTable {
  if (path === undefined) return DEFAULT_COSTS;
  const wrong = (why: string): UsageError =>
    new UsageError(`--costs ${printable(path)}: ${printable(why)}; ${SAYS}`);
  let given: unknown;
  try {
    given = JSON.parse(smallFile(path));
  } catch (error) {
    throw wrong(error instanceof Error ? error.message : String(error));
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw wrong('this is no table of costs');
  }
  const table: Record<string, Price> = { ...DEFAULT_COSTS };
  for (const [name, value] of Object.entries(given)) {
    if (!(PRICE_NAMES as readonly string[]).includes(name))
      throw wrong(`there is no cost '${name}'`);
    table[name] = { ...table[name], ...priceOf(name, value, wrong) };
  }
  return table as CostTable;
}

/** A number, or an object with `value` and a source, as a report prints it. */
function priceOf(name: string, given: unknown, wrong: (why: string) => UsageError): Partial<Price> {
  const entry = typeof given === 'object' && given !== null ? given : { value: given };
  const value: unknown = Reflect.get(entry, 'value');
  if (typeof value !== 'number' || !(value >= 0 && value <= VALUE_MAX)) {
    throw wrong(`'${name}' is no number of 0 or more, up to ${grouped(VALUE_MAX)}`);
  }
  if (name === 'ghz' && !(value >= GHZ.low && value <= GHZ.high)) {
    throw wrong(`'ghz' must be from ${GHZ.low} to ${GHZ.high}`);
  }
  const source: unknown = Reflect.get(entry, 'source');
  return { value, source: typeof source === 'string' ? source : 'given by --costs' };
}
