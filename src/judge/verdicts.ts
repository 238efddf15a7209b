import { PROPERTY_NAMES, REACH_NAMES } from './properties.js';

/** What the checks of one run have found. */
export class Verdicts {
  /** Per property: whether it was broken, and how, the first time. */
  readonly broken: Uint8Array = new Uint8Array(PROPERTY_NAMES.length);
  readonly details: string[] = PROPERTY_NAMES.map(() => '');
  /** Per property: broken by the guest's kernel itself, as it would be on a pCPU of its own. */
  readonly own: Uint8Array = new Uint8Array(PROPERTY_NAMES.length);
  readonly ownDetails: string[] = PROPERTY_NAMES.map(() => '');
  /** Per property: what happens in this run from now on says nothing about it. */
  private readonly unjudged: Uint8Array = new Uint8Array(PROPERTY_NAMES.length);
  /** Whether anything was broken since this was last reset. */
  news = false;
  /** Occurrences of each situation, over all runs. */
  readonly reach: Float64Array = new Float64Array(REACH_NAMES.length);

  /** Forgets the run, but not what was reached. */
  clear(): void {
    this.broken.fill(0);
    this.own.fill(0);
    this.unjudged.fill(0);
    this.news = false;
  }

  /** Judges no properties any more in this run but some. */
  judgeOnly(...properties: readonly number[]): void {
    this.unjudged.fill(1);
    for (const property of properties) this.unjudged[property] = 0;
  }

  /** All words that change during a run, reach counters aside. */
  get remembered(): Uint8Array[] {
    return [this.broken, this.own, this.unjudged];
  }

  breaks(property: number, detail: () => string): void {
    if (this.broken[property] !== 0 || this.unjudged[property] !== 0) return;
    this.broken[property] = 1;
    this.details[property] = detail();
    this.news = true;
  }

  /** What the guest's kernel does wrong by itself counts against no policy. */
  breaksOwn(property: number, detail: () => string): void {
    if (this.own[property] !== 0 || this.unjudged[property] !== 0) return;
    this.own[property] = 1;
    this.ownDetails[property] = detail();
    this.news = true;
  }
}
