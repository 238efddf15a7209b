/** The options of `vlbr conform` as commander hands them over. */
import type { DriverName } from '../../console/drivers.js';
import type { BaselineOptions } from '../../console/baseline.js';
import type { ReporterOptions } from '../../console/reporters.js';

export interface ConformOptions extends ReporterOptions, BaselineOptions {
  /** What the port is compared with; by default, what --kernel-src is. */
  readonly driver?: Exclude<DriverName, 'port'>;
  readonly kernelSrc?: string;
  readonly cpu: string;
  /** For the whole path. */
  readonly policy?: string;
  readonly runs: number;
  readonly seed: number;
  readonly json?: boolean;
}
