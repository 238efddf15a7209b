/** A schedule that is run again, as plain data. Every picture is made of it, of nothing else. */
import { type Breaker, type ReplayCase, tokenOf } from '../../campaign/replay_file.js';
import { ascii } from '../../console/text.js';
import type { Shape } from '../../machine/config.js';
import { actionText } from '../../schedule/action_text.js';
import type { Because } from '../because.js';
import { Retelling } from '../retelling.js';
import { Scribe, type StoryAccess, type StorySample } from './scribe.js';
import { stateOf, type StoryState } from './state.js';

/** One action, what it does, and what there is after it. */
export interface StoryStep {
  /** Counted from 1; 0 is the boot. */
  readonly number: number;
  /** As in a replay file: `v0: open task=0 type=CALL_STACK|USER`; `boot`. */
  readonly action: string;
  /** The same in a sentence, without who does it. */
  readonly sentence: string;
  /** Who does it, and where: `v0 (VM 0, task 0, p0)`, `p0`; empty for the boot. */
  readonly who: string;
  /** Whether it was possible. What is not is passed over. */
  readonly possible: boolean;
  /** What happens, in words, in its order. */
  readonly lines: readonly string[];
  readonly accesses: readonly StoryAccess[];
  readonly samples: readonly StorySample[];
  /** VM entries and exits of each vCPU. */
  readonly entries: readonly number[];
  readonly exits: readonly number[];
  /** After the step or, if the property breaks in it, at that moment. */
  readonly state: StoryState;
}

/** A schedule on a machine, from its boot to its end or to the moment the property breaks. */
export interface Story {
  readonly policy: string;
  readonly property: string;
  readonly cpu: string;
  /** Version of Linux that the port follows. */
  readonly kernel: string;
  readonly shape: Shape;
  /** What `vlbr replay` takes. */
  readonly token: string;
  /** Records of the LBR stack. */
  readonly depth: number;
  readonly hasSelect: boolean;
  readonly breaker: Breaker;
  /** What broke, in a line; empty if nothing did. */
  readonly text: string;
  /** Number of the step in which the property breaks; null if it does not. */
  readonly breaksAt: number | null;
  /** Number of the step in which the machine parts from the reference; null if it does not. */
  readonly partsAt: number | null;
  /** Why it breaks; null if it does not. */
  readonly because: Because | null;
  readonly steps: readonly StoryStep[];
}

/** Runs a case and keeps all of it. The same case gives the same story. */
export function storyOf(replay: ReplayCase): Story {
  const { config, property } = replay;
  const retelling = new Retelling(replay, (judge, watch) => new Scribe(judge, watch));
  const { breaker, machine, monitor, watcher: scribe } = retelling;
  scribe.deeds();
  const steps: StoryStep[] = [bootStep(stateOf(machine, monitor))];
  for (const { number, action, head, possible, lines } of retelling.actions(false)) {
    const [who, ...says] = head.split(': ');
    const { accesses, samples, exits } = scribe.deeds();
    const before = steps[number - 1].state;
    const state = scribe.atBreak ?? stateOf(machine, monitor);
    steps.push({
      number,
      action: actionText(action),
      sentence: ascii(says.join(': ')),
      who,
      possible,
      lines: lines.map(ascii),
      accesses,
      samples,
      entries: exits.map((n, v) => n + Number(isInGuest(state, v)) - Number(isInGuest(before, v))),
      exits,
      state,
    });
  }
  const { text, because } = retelling.ending();
  const { model, policy, kernel, shape } = config;
  return {
    policy: policy.name,
    property,
    cpu: model.name,
    kernel,
    shape,
    token: tokenOf(replay),
    depth: model.lbr_nr,
    hasSelect: model.select !== 'none',
    breaker,
    text,
    breaksAt: scribe.failure === null ? null : steps.length - 1,
    partsAt: because?.step ?? null,
    because,
    steps,
  };
}

/** The words that mark a step: where the machine parts from the reference, where it breaks. */
export function marksOf({ partsAt, breaksAt, property }: Story, number: number): string[] {
  return [
    ...(number === partsAt ? ['parts from the reference'] : []),
    ...(number === breaksAt ? [`breaks ${property}`] : []),
  ];
}

function isInGuest({ pcpus }: StoryState, vcpu: number): boolean {
  return pcpus.some((pcpu) => pcpu.vcpu === vcpu && pcpu.inGuest);
}

function bootStep(state: StoryState): StoryStep {
  const none = state.vcpus.map(() => 0);
  return {
    number: 0,
    action: 'boot',
    sentence: 'the machine has booted',
    who: '',
    possible: true,
    lines: [],
    accesses: [],
    samples: [],
    entries: none,
    exits: none,
    state,
  };
}
