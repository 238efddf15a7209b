/** The host's side of a selftest: what it does, in the order of the schedule. */
import {
  HOST_EVENT_CLOSE,
  HOST_EVENT_ON,
  HOST_EVENT_PINNED,
  HOST_EVENT_TASK,
} from '../../../machine/host_perf.js';
import { type HostStep, type Run, TO_DO } from './run.js';

type EventStep = Extract<HostStep, { kind: 'event' }>;

/** The host's own LBR events, each once. An event is one of a thread, or of a pCPU. */
export function hostEvents({ script }: Run): string[] {
  const names = script.flatMap((step) => (step.kind === 'event' ? [eventName(step)] : []));
  return [...new Set(names)];
}

function eventName({ which, pcpu, vcpu }: EventStep): string {
  return `${which} of ${which === HOST_EVENT_TASK ? `v${vcpu}` : `p${pcpu}`}`;
}

function eventText(run: Run, step: EventStep): string {
  const { which, op, pcpu, vcpu } = step;
  const nr = hostEvents(run).indexOf(eventName(step));
  if (op === HOST_EVENT_CLOSE) return `event_close(${nr});`;
  if (op !== HOST_EVENT_ON) return `event_off(${nr});`;
  const ofThread = which === HOST_EVENT_TASK;
  const whose = ofThread ? `threads[${vcpu}].tid, -1` : `-1, cpus[${pcpu}]`;
  const callstack = ofThread && run.replay.config.model.callstack;
  const branches = callstack ? 'CALL_STACKS' : 'ALL_BRANCHES';
  return `event_on(${nr}, ${whose}, ${which === HOST_EVENT_PINNED}, ${branches});`;
}

function stepLines(run: Run, step: HostStep): string[] {
  switch (step.kind) {
    case 'run':
      return [`run_on(${step.vcpu}, ${step.pcpu});`];
    case 'goOn':
      return [`go_on(${step.vcpu});`];
    case 'stands':
      return [`stands(${step.stop.id}); /* v${step.stop.vcpu} */`];
    case 'event':
      return [eventText(run, step)];
    case 'work':
      return [
        `/* ${TO_DO}: take one sample, after exactly ${step.n} of these calls */`,
        `work(${step.vcpu}, ${step.pcpu}, ${step.n});`,
      ];
    case 'migrate': {
      const alone = run.replay.config.shape.vcpus === 1;
      const rest = `/* ${TO_DO}: create the VM anew, with all of its vCPUs */`;
      return [...(alone ? [] : [rest]), `migrate(${step.vcpu});`];
    }
    case 'cstate':
      return [
        `/* ${TO_DO}: make sure that p${step.pcpu} sleeps deeply enough to lose its records */`,
        'usleep(100000);',
      ];
    case 'ends':
      return [`ends(${step.vcpu});`];
    case 'note':
      return [`/* ${step.text} */`];
  }
}

/** The function that performs the schedule. */
export function scheduleText(run: Run): string[] {
  const lines = run.script.flatMap((step) => stepLines(run, step));
  const closes = hostEvents(run).map((_, nr) => `event_close(${nr});`);
  const sleeps = run.script.some(({ kind }) => kind === 'cstate');
  const body = [...(sleeps ? [] : ['keep_awake();']), ...lines, ...closes];
  return ['', 'static void schedule(void)', '{', ...body.map((line) => `\t${line}`), '}'];
}

/** The vCPUs, and whose each stop is. */
export function tablesText({ replay, guests, stops }: Run): string[] {
  const { vcpus } = replay.config.shape;
  const rows = guests.map((_, v) => {
    const code = `.code = v${v}_code, .log = v${v}_log, .log_length = ARRAY_SIZE(v${v}_log)`;
    return `\t{ .id = ${v}, .vm = ${Math.trunc(v / vcpus)}, ${code} },`;
  });
  const owners = stops.map(({ vcpu }) => vcpu).join(', ');
  return [
    `static struct vcpu_thread threads[NR_VCPUS] = {`,
    ...rows,
    '};',
    '',
    `static const int vcpu_of_stop[NR_STOPS + 1] = { ${owners} };`,
  ];
}
