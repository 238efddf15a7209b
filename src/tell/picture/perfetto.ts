/**
 * A story as a trace for the UI of Perfetto, in the JSON of Chrome's trace events. A step takes a
 * millisecond there. pCPUs and each VM are processes; pCPUs, vCPUs and tasks are their threads.
 */
import { accessRows } from './access_rows.js';
import { type Cell, type Lane, lanesOf } from './lanes.js';
import { marksOf, type Story, type StoryStep } from './story.js';

/** An event of a trace. Times are in microseconds. */
export interface TraceEvent {
  readonly name: string;
  /** `M`: a name. `X`: a slice. `i`: an instant. */
  readonly ph: 'M' | 'X' | 'i';
  readonly ts: number;
  readonly pid: number;
  readonly tid: number;
  readonly cat?: string;
  /** How long a slice is. */
  readonly dur?: number;
  /** Where an instant is drawn: on its thread, or across all of them. */
  readonly s?: 't' | 'g';
  readonly args: Readonly<Record<string, unknown>>;
}

const STEP_US = 1000;

/** Processes. Perfetto leaves out 0, which is the kernel's. */
const SCHEDULE = 1;
const HOST = 2;
const FIRST_VM = 10;

/** Kinds of threads. Their numbers differ over all processes. */
const THREADS = { pCPU: 0, vCPU: 1, task: 2 } as const;

function place(pid: number, kind: Lane['kind'], number: number): Pick<TraceEvent, 'pid' | 'tid'> {
  return { pid, tid: pid * 1000 + THREADS[kind] * 100 + number + 1 };
}

/** The trace as an object, to be printed as JSON. Its schedule is in `otherData`, as a token. */
export function storyPerfetto(story: Story): object {
  const { policy, property, cpu, kernel, token, text, steps } = story;
  const lanes = lanesOf(story);
  return {
    traceEvents: [
      ...namesOf(lanes, policy),
      ...steps.flatMap((step) => stepEvents(story, step)),
      ...lanes.flatMap((lane) => slicesOf(lane)),
    ],
    displayTimeUnit: 'ms',
    otherData: { version: 'vlbr', policy, property, cpu, kernel, text, token },
  };
}

/** The process and the thread of a lane. */
function placeOf({ kind, name, vm }: Lane): Pick<TraceEvent, 'pid' | 'tid'> {
  return place(kind === 'pCPU' ? HOST : FIRST_VM + vm, kind, Number(name.slice(1)));
}

function named(what: 'process' | 'thread', pid: number, tid: number, name: string): TraceEvent {
  return { name: `${what}_name`, ph: 'M', ts: 0, pid, tid, args: { name } };
}

function namesOf(lanes: readonly Lane[], policy: string): TraceEvent[] {
  const vms = [...new Set(lanes.filter(({ kind }) => kind !== 'pCPU').map(({ vm }) => vm))];
  return [
    named('process', SCHEDULE, 1, 'schedule'),
    named('thread', SCHEDULE, 1, 'steps'),
    named('process', HOST, 1, `host, ${policy}`),
    ...vms.map((vm) => named('process', FIRST_VM + vm, 1, `VM ${vm}`)),
    ...lanes.map((lane) => {
      const { pid, tid } = placeOf(lane);
      return named('thread', pid, tid, `${lane.kind} ${lane.name}`);
    }),
  ];
}

/** A slice for the step, and instants for its accesses and for what marks it. */
function stepEvents(story: Story, step: StoryStep): TraceEvent[] {
  const { number, action, who, sentence, lines, accesses } = step;
  const ts = number * STEP_US;
  const slice: TraceEvent = {
    name: `#${number} ${who.split(' ')[0]} ${sentence}`.replace('  ', ' '),
    ph: 'X',
    cat: 'step',
    ts,
    dur: STEP_US,
    pid: SCHEDULE,
    tid: 1,
    args: { action, ...Object.fromEntries(lines.map((line, i) => [`line ${i + 1}`, line])) },
  };
  const marks = marksOf(story, number).map((name): TraceEvent => ({
    name,
    ph: 'i',
    s: 'g',
    cat: 'mark',
    ts,
    pid: SCHEDULE,
    tid: 1,
    args: { text: story.text },
  }));
  const rows = accessRows(accesses);
  const instants = rows.map(({ who: by, how, what, value, notes, pcpu, vcpu }, i): TraceEvent => {
    const guests = vcpu !== null && by === `v${vcpu}`;
    return {
      name: `${how} ${what} ${value}`,
      ph: 'i',
      s: 't',
      cat: 'msr',
      ts: ts + Math.round(((i + 1) * STEP_US) / (rows.length + 1)),
      ...(guests
        ? place(FIRST_VM + step.state.vcpus[vcpu].vm, 'vCPU', vcpu)
        : place(HOST, 'pCPU', pcpu)),
      args: { by, notes: notes.join(', ') },
    };
  });
  return [slice, ...marks, ...instants];
}

const WORDS = { guest: 'in the guest', host: 'in the host' } as const;

/** A slice for each run of equal cells. */
function slicesOf(lane: Lane): TraceEvent[] {
  const { cells } = lane;
  const slices: TraceEvent[] = [];
  for (let i = 0; i < cells.length;) {
    let end = i + 1;
    while (end < cells.length && same(cells[i], cells[end])) end++;
    const { label, mode, vm } = cells[i];
    if (mode !== 'off') {
      slices.push({
        name: `${label}, ${WORDS[mode]}`,
        ph: 'X',
        cat: lane.kind,
        ts: i * STEP_US,
        dur: (end - i) * STEP_US,
        ...placeOf(lane),
        args: { vm },
      });
    }
    i = end;
  }
  return slices;
}

function same(a: Cell, b: Cell): boolean {
  return a.label === b.label && a.mode === b.mode;
}
