/** How a schedule ends on a kernel's code. */
import { type Breaker, type ReplayCase, tokenOf } from '../../campaign/replay_file.js';
import { ShapeCampaign } from '../../campaign/shape_campaign.js';
import { type Breaking, failingAtAnotherTime, Side } from '../../campaign/side.js';
import { PROPERTY } from '../../judge/properties.js';
import type { Because } from '../../tell/because.js';
import { timeline } from '../../tell/timeline.js';

/** A property that breaks. */
export interface Failing {
  readonly kind: 'fails';
  readonly breaker: Breaker;
  /** The schedule; an interruption may have moved. */
  readonly token: string;
  readonly because: Because | null;
}

export type Ending =
  | { readonly kind: 'holds' }
  | Failing
  /** Nothing can be said of it. */
  | { readonly kind: 'skipped'; readonly why: string };

/**
 * Runs a schedule, and with its interruptions at other times where it does not fail as it is.
 *
 * @param by - who breaks the property where it is known to break: that is what is looked for.
 * @param alive - is told that the work goes on.
 */
export function endingOf(replay: ReplayCase, by: Breaking, alive: () => boolean): Ending {
  const { config, property, schedule } = replay;
  const side = new Side(new ShapeCampaign(config, alive));
  const breaks = side.breaksAt(by, PROPERTY[property]);
  const failing = breaks(schedule) >= 0 ? schedule : failingAtAnotherTime(schedule, breaks);
  if (side.crash !== null) return { kind: 'skipped', why: `it crashes: ${side.crash.error}` };
  if (failing === null) return { kind: 'holds' };
  const found = { ...replay, schedule: failing };
  const { breaker, because } = timeline(found);
  return { kind: 'fails', breaker, token: tokenOf(found), because };
}
