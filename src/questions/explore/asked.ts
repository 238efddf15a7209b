/** What is asked of an exploration, however it goes through schedules. */
import type { KernelVersion } from '../../guest/perf/kernel.js';
import { CPU_MODELS } from '../../hw/cpu_models.js';
import type { Property, PropertyName } from '../../judge/properties.js';
import type { Shape } from '../../machine/config.js';
import { type Bounds, type Group, GROUP_NAMES } from '../../schedule/explored.js';
import { DEFAULT_GROUPS } from '../../states/alphabet.js';
import { entryOf, namesOf, policiesOf } from '../../console/arguments.js';
import { askedPort } from '../../console/kernel_source.js';
import { UsageError } from '../../console/errors.js';
import { exitCodeOf } from '../../console/exit_codes.js';
import type { PictureOptions } from '../../console/picture_options.js';
import type { DriverOptions } from '../../console/kernel_source.js';

/** The options as commander hands them over. */
export interface ExploreOptions extends DriverOptions, PictureOptions, Shape {
  readonly policy: string;
  readonly property: string;
  readonly cpu: string;
  readonly kernel: KernelVersion;
  /** Records of the LBR; an image has those of its CPU. */
  readonly depth?: number;
  readonly events: number;
  readonly calls?: number;
  readonly suspended: number;
  readonly bound?: number;
  /** In MB. */
  readonly memory?: number;
  readonly actions: string;
  readonly fingerprints?: boolean;
  /** False with --no-symmetry. */
  readonly symmetry: boolean;
  readonly json?: boolean;
}

/** What the job of any exploration has. */
export interface Asked {
  readonly kernel: KernelVersion;
  readonly shape: Shape;
  readonly bounds: Bounds;
  readonly policies: readonly string[];
  readonly properties: readonly PropertyName[];
}

/**
 * Checks what can be wrong with the options.
 *
 * @param known - the properties that can be asked for.
 * @param calls - frames of a call stack, unless the options say how many.
 */
export function askedOf(options: ExploreOptions, known: readonly Property[], calls: number): Asked {
  const { kernel, vms, vcpus, tasks, pcpus, events, suspended } = options;
  const policies = policiesOf(options.policy, askedPort(options));
  const properties = namesOf(
    'property',
    options.property,
    known.map(({ name }) => name),
  );
  entryOf('CPU', options.cpu, CPU_MODELS);
  if (tasks < vcpus) {
    throw new UsageError(`--tasks must be at least the vCPUs of a VM (${vcpus}), not ${tasks}`);
  }
  const groups = groupsOf(options.actions);
  return {
    kernel,
    shape: { vms, vcpus, tasks, pcpus },
    bounds: { groups, events, calls: options.calls ?? calls, suspended },
    policies,
    properties,
  };
}

/**
 * What an exploration ends with. What a failure says is sure, even where it was cut short.
 *
 * @param unexpected - number of failures that nobody declares.
 */
export function exitCode(
  interrupted: boolean,
  unexpected: number,
  results: readonly { readonly explored: { readonly complete: boolean } }[],
): number {
  const truncated = results.some(({ explored: { complete } }) => !complete);
  return exitCodeOf({ lost: unexpected > 0, cutShort: interrupted || truncated });
}

/** How to see an exception again. */
export function adviceOf({ policy }: { readonly policy: string }): string[] {
  return [`the same command with --policy ${policy} shows it again`];
}

/** The groups of a list; `default` stands for the default ones. */
function groupsOf(list: string): Group[] {
  const names = namesOf('group of actions', list, ['default', ...GROUP_NAMES]);
  const all = names.includes('default') ? [...names, ...DEFAULT_GROUPS] : names;
  return GROUP_NAMES.filter((group) => all.includes(group));
}
