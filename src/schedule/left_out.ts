/** Actions that a user wants left out: by the groups of an exploration, or by their own names. */
import { GROUP_NAMES, type Group } from './explored.js';
import { ACTION_NAMES, ACTIONS, type ActionName } from './table.js';

/** Names of groups that are an action's; empty for one that no exploration tries. */
function groupsOf(name: ActionName): Group[] {
  return (ACTIONS[name].explored ?? []).flatMap(({ groups }) => groups);
}

/** What can be named: groups, then actions; some groups have the name of an action of theirs. */
export const LEFT_OUT_NAMES: readonly (Group | ActionName)[] = [
  ...new Set([...GROUP_NAMES, ...ACTION_NAMES]),
];

/**
 * The actions to leave out, in the order of the table: those that are named, and those that belong
 * to no group but named ones.
 */
export function leftOut(names: readonly (Group | ActionName)[]): ActionName[] {
  const named: ReadonlySet<string> = new Set(names);
  return ACTION_NAMES.filter((name) => {
    const groups = groupsOf(name);
    return named.has(name) || (groups.length > 0 && groups.every((group) => named.has(group)));
  });
}
