import { PROPERTY_NAMES, REACH_NAMES } from './properties.js';

/** What the checks of one run have found. */
export class Verdicts {
  /** Per property: whether it was broken, and how, the first time. */
  readonly broken: Uint8Array = new Uint8Array(PROPERTY_NAMES.length);
  readonly details: string[] = PROPERTY_NAMES.map(() => '');
  /** Per property: broken by the guest's kernel itself, as it would be on a pCPU of its own. */
  readonly own: Uint8Array = new Uint8Array(PROPERTY_NAMES.length);
  readonly ownDetails: string[] = PROPERTY_NAMES.map(() => '');
  /** Whether anything was broken since this was last reset. */
  news = false;
  /** Occurrences of each situation, over all runs. */
  readonly reach: Float64Array = new Float64Array(REACH_NAMES.length);

  /** Forgets the run, but not what was reached. */
  clear(): void {
    this.broken.fill(0);
    this.own.fill(0);
    this.news = false;
  }

  breaks(property: number, detail: () => string): void {
    if (this.broken[property] !== 0) return;
    this.broken[property] = 1;
    this.details[property] = detail();
    this.news = true;
  }

  /** What the guest's kernel does wrong by itself counts against no policy. */
  breaksOwn(property: number, detail: () => string): void {
    if (this.own[property] !== 0) return;
    this.own[property] = 1;
    this.ownDetails[property] = detail();
    this.news = true;
  }
}
