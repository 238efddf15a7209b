/** Options that say on which machines runs are made, and of which actions. */
import type { Command } from 'commander';
import { DEFAULT_SHAPES } from '../campaign/campaign.js';
import { type Shape, shapeProblem } from '../machine/config.js';
import { LEFT_OUT_NAMES, leftOut } from '../schedule/left_out.js';
import type { ActionName } from '../schedule/table.js';
import { namesOf, wholeNumber } from './arguments.js';
import { UsageError } from './errors.js';

/** As commander hands them over. */
export interface MachineOptions extends Partial<Shape> {
  readonly without?: string;
}

const WITHOUT_SAYS =
  'groups of actions (see: vlbr explore --help), or actions (see: vlbr explain), that are ' +
  'left out of the schedules';

/** Adds --vms, --vcpus, --tasks and --pcpus. */
export function addShapeOptions(command: Command): Command {
  return command
    .option('--vms <n>', 'VMs, 1 to 6', wholeNumber(1, 6))
    .option('--vcpus <n>', 'vCPUs of each VM, 1 to 8', wholeNumber(1, 8))
    .option('--tasks <n>', 'tasks of each VM, from its vCPUs to 16', wholeNumber(1, 16))
    .option('--pcpus <n>', 'pCPUs, 1 to 8', wholeNumber(1, 8));
}

/** Adds --without. */
export function addWithoutOption(command: Command): Command {
  return command.option('--without <names>', WITHOUT_SAYS);
}

/**
 * One shape if any part of it was given, else those that make runs meet the most.
 *
 * @throws UsageError for one that there can't be.
 */
export function shapesOf({ vms, vcpus, tasks, pcpus }: MachineOptions): readonly Shape[] {
  if (vms === undefined && vcpus === undefined && tasks === undefined && pcpus === undefined) {
    return DEFAULT_SHAPES;
  }
  const perVm = vcpus ?? 1;
  const shape = {
    vms: vms ?? 2,
    vcpus: perVm,
    tasks: tasks ?? Math.max(2, perVm),
    pcpus: pcpus ?? 1,
  };
  const problem = shapeProblem(shape);
  if (problem !== null) throw new UsageError(problem);
  return [shape];
}

/** The actions to leave out. @throws UsageError for a name that leaves none out. */
export function withoutOf({ without }: MachineOptions): ActionName[] {
  if (without === undefined) return [];
  const names = namesOf('action or group of actions', without, LEFT_OUT_NAMES);
  const actions = leftOut(names);
  if (actions.length > 0) return actions;
  throw new UsageError(
    `--without ${names.join(',')} leaves no action out, since each of them belongs to other ` +
      'groups as well; name the actions themselves (see: vlbr explain)',
  );
}
