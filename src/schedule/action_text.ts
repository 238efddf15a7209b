/**
 * Actions as people write them: `v0: open task=0 type=CALL_STACK|USER`. A parameter that is left
 * out has the value that the table implies.
 */
import type { Param } from './param.js';
import { type Action, ACTION_NAMES, type ActionName, ACTIONS } from './table.js';

/**
 * An action in one line.
 *
 * @example
 * import { actionText, parseAction } from 'vlbr';
 *
 * const action = parseAction('v0: call n=3');
 * action.kind; // 'call'
 * actionText(action); // 'v0: call n=3'
 */
export function actionText({ kind, actor, args }: Action): string {
  const spec = ACTIONS[kind];
  const who = spec.actor === 'vcpu' ? `v${actor}` : `p${actor}`;
  const shown = spec.params.flatMap(({ name, form, implied }, i) =>
    args[i] === implied ? [] : [`${name}=${form.text(args[i])}`],
  );
  return [`${who}:`, kind, ...shown].join(' ');
}

const LINE = /^([vp])(\d+):\s+(\S+)(?:\s+(.*))?$/;

/**
 * The action that a line tells. What `actionText` writes, this reads.
 *
 * @throws RangeError which says what is wrong with the line.
 */
export function parseAction(line: string): Action {
  const [, who, number, kind, rest = ''] = LINE.exec(line.trim()) ?? [];
  if (kind === undefined) {
    throw new RangeError(`'${line}' is no action; write it as 'v0: call n=3' or 'p0: run vcpu=1'`);
  }
  if (!isActionName(kind)) {
    throw new RangeError(`there is no action '${kind}'; there are: ${ACTION_NAMES.join(' ')}`);
  }
  const { actor, params } = ACTIONS[kind];
  if (who !== actor[0]) {
    throw new RangeError(`${kind} belongs to a ${actor}: write '${actor[0]}${number}: ${kind}'`);
  }
  const given = new Map<string, string>();
  for (const word of rest.split(/\s+/).filter((w) => w !== '')) {
    const [name, ...value] = word.split('=');
    if (!params.some((param) => param.name === name)) {
      const names = params.map((param) => param.name).join(', ') || 'none';
      throw new RangeError(`${kind} has no parameter '${name}'; it has: ${names}`);
    }
    if (given.has(name)) throw new RangeError(`${kind}: ${name} is given twice`);
    given.set(name, value.join('='));
  }
  const args = params.map((param) => valueOf(kind, param, given.get(param.name)));
  return { kind, actor: Number(number), args };
}

export function isActionName(name: unknown): name is ActionName {
  return typeof name === 'string' && Object.hasOwn(ACTIONS, name);
}

function valueOf(kind: ActionName, param: Param, text: string | undefined): number {
  const { name, form, implied } = param;
  if (text === undefined) {
    if (implied !== undefined) return implied;
    throw new RangeError(`${kind} needs ${name}=, which is ${form.expects}`);
  }
  const value = form.value(text);
  if (value === null) throw new RangeError(`${kind}: ${name}=${text} must be ${form.expects}`);
  return value;
}

/** What is wrong with the numbers of an action, or null. */
export function actionProblem({ kind, actor, args }: Action): string | null {
  if (!(actor >= 0 && actor <= ACTORS_MAX)) {
    return `actor ${actor} is not between 0 and ${ACTORS_MAX}`;
  }
  for (const [i, { name, min, max }] of ACTIONS[kind].params.entries()) {
    // Words of a register are 32 bits, whichever sign they were written with.
    const value = max === 0xffffffff ? args[i] >>> 0 : args[i];
    if (value < min || value > max) {
      return `${kind}: ${name} is ${value}; it must be between ${min} and ${max}`;
    }
  }
  return null;
}

/** The largest number of a vCPU or pCPU that a schedule may name. */
const ACTORS_MAX = 63;
