/** Random actions, possible or not. */
import fc from 'fast-check';
import { type Action, ACTION_NAMES, ACTIONS } from '../../src/schedule/table.js';

/** Any signed word of 32 bits. */
const anyWord: fc.Arbitrary<number> = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

/**
 * @param actorMax - the largest actor.
 * @param param - draws a parameter, whatever its range.
 */
export function anyAction(
  actorMax: number,
  param: fc.Arbitrary<number> = anyWord,
): fc.Arbitrary<Action> {
  return fc
    .tuple(fc.constantFrom(...ACTION_NAMES), fc.nat(actorMax), fc.tuple(param, param, param))
    .map(([kind, actor, words]) => ({
      kind,
      actor,
      args: words.slice(0, ACTIONS[kind].params.length),
    }));
}
