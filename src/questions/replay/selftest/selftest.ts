/** `vlbr replay --emit selftest`: a schedule as the C file of a KVM selftest. */
import type { Breaker, ReplayCase } from '../../../campaign/replay_file.js';
import { tokenOf } from '../../../campaign/replay_file.js';
import { ascii, plural, wrap } from '../../../console/text.js';
import { packageVersion } from '../../../console/version.js';
import type { CpuModel } from '../../../hw/cpu_models.js';
import { MSR_LBR_CORE_FROM } from '../../../hw/msr_index.js';
import { PROPERTIES, PROPERTY, type PropertyName } from '../../../judge/properties.js';
import { GUEST_SIDE } from './guest_c.js';
import { guestsText } from './guest.js';
import { hostEvents, scheduleText, tablesText } from './host.js';
import * as host from './host_c.js';
import { type HostStep, type Run, runFor, TO_DO } from './run.js';

const BY_READS = 'The test fails where a guest reads something else than on a CPU of its own.';

/** How a test sees that a property breaks. */
const SEEN: Readonly<Partial<Record<PropertyName, string>>> = {
  'no-loss/callstack': BY_READS,
  'no-loss/any': BY_READS,
  'no-leak/vm': BY_READS,
  'no-premature-stop': BY_READS,
  'no-fault': 'The test fails where an access of a guest faults and should not, or the reverse.',
  'host-intact': 'The test fails where a sample of the host holds a record of a guest.',
};

const NOT_SEEN = `A test can't look at this itself. ${BY_READS}`;

const GUESTS = `\
Each guest is a straight line: the MSR accesses that perf makes in it in this schedule, with their \
values, and the branches that are recorded. What a guest reads of the LBR and of DEBUGCTL is \
compared with what it reads on a CPU of its own. The address of a branch is that of the \
instruction which makes it here. Not compared are an INFO that hardware has written, the LBR_TOS \
of an empty stack, and the other MSRs.`;

const DIFFERENCES = `\
Where the schedule switches, a thread sleeps inside KVM_RUN, in a page fault, and another one is \
woken. Other than in the schedule, the CPU is idle for a moment between the two. A vCPU that the \
host holds to do something else has left KVM_RUN. Guests run at privilege level 0 alone: \
LBR_SELECT is written without its bits for levels, and a branch that is not recorded is left out.`;

function paragraph(text: string): string[] {
  return [' *', ...wrap(ascii(text), ' * ', ' * ')];
}

function title({ replay, breaker, text }: Run, guest: string): string[] {
  const { config, property } = replay;
  const { statement } = PROPERTIES[PROPERTY[property]];
  const who = breaker === 'policy' ? `the policy ${config.policy.name}` : "the guest's kernel";
  const broken = breaker === 'nobody' ? 'nobody breaks it' : `${who} breaks it: ${text}`;
  const made = `Written by vlbr ${packageVersion()} (vlbr replay --emit selftest)`;
  const where = `${config.policy.name} on ${config.model.name}, ${guest}`;
  return [
    ` * An LBR stack across vCPU switches: ${property}.`,
    ...paragraph(`${made} from this schedule for ${where}:`),
    ` * ${tokenOf(replay)}`,
    ...paragraph(`${property}: ${statement}`),
    ...paragraph(`In vlbr, ${broken}.`),
    ...paragraph(SEEN[property] ?? NOT_SEEN),
  ];
}

function needs({ config }: ReplayCase): string {
  const { model, shape } = config;
  return `\
It needs ${plural(shape.pcpus + 1, 'CPU')} with ${model.lbr_nr} records of LBR format \
${model.lbr_format}, such as ${model.uarch}; a KVM that offers them to guests (enable_pmu, no \
mediated PMU); root, and userfaultfd(). Its place is tools/testing/selftests/kvm/x86, which is \
x86_64 in Linux 6.1; the Makefile there has to name it.`;
}

function headText(run: Run, guest: string, body: readonly string[]): string[] {
  const left = body.filter((line) => line.includes(TO_DO)).length;
  const places = left === 1 ? '1 place is' : `${left} places are`;
  return [
    '// SPDX-License-Identifier: GPL-2.0-only',
    '/*',
    ...title(run, guest),
    ...paragraph(GUESTS),
    ...paragraph(DIFFERENCES),
    ...paragraph(
      `What no test can force is written as the nearest thing: ${places} marked ${TO_DO}.`,
    ),
    ...paragraph(needs(run.replay)),
    ' */',
  ];
}

const SYSTEM_HEADERS: readonly string[] = [
  'fcntl.h',
  'poll.h',
  'pthread.h',
  'sched.h',
  'semaphore.h',
  'sys/ioctl.h',
  'sys/mman.h',
  'sys/syscall.h',
  'linux/perf_event.h',
  'linux/userfaultfd.h',
];

const OWN_HEADERS: readonly string[] = ['test_util.h', 'kvm_util.h', 'processor.h'];

function includes(): string[] {
  return [
    '#ifndef _GNU_SOURCE',
    '#define _GNU_SOURCE',
    '#endif',
    ...SYSTEM_HEADERS.map((name) => `#include <${name}>`),
    '',
    ...OWN_HEADERS.map((name) => `#include "${name}"`),
  ];
}

function registersText({ lbr_from, lbr_info }: CpuModel): string[] {
  const family = lbr_from === MSR_LBR_CORE_FROM ? 'CORE' : 'NHM';
  return [
    `#define FROM(slot) (MSR_LBR_${family}_FROM + (slot))`,
    `#define TO(slot) (MSR_LBR_${family}_TO + (slot))`,
    ...(lbr_info === 0 ? [] : ['#define INFO(slot) (MSR_LBR_INFO_0 + (slot))']),
  ];
}

function numbersText(run: Run): string[] {
  const events = hostEvents(run).length;
  const { model, shape } = run.replay.config;
  return [
    `#define LBR_FORMAT ${model.lbr_format}`,
    `#define LBR_DEPTH ${model.lbr_nr}`,
    `#define NR_VMS ${shape.vms}`,
    `#define NR_VCPUS ${shape.vms * shape.vcpus}`,
    `#define NR_PCPUS ${shape.pcpus}`,
    `#define NR_STOPS ${run.stops.length}`,
    ...(events === 0 ? [] : [`#define NR_EVENTS ${events}`]),
    '',
    ...registersText(model),
  ];
}

/** The functions of the host's side that this schedule needs. */
function hostText({ replay, script }: Run): string[] {
  const has = (kind: HostStep['kind']): boolean => script.some((step) => step.kind === kind);
  const migrate = replay.config.shape.vcpus === 1 ? host.MIGRATE_ONE : host.MIGRATE_IN_PLACE;
  return [
    host.HOST_SIDE,
    ...(has('event') ? [host.HOST_EVENTS] : []),
    ...(has('work') ? [host.WORK] : []),
    host.PREPARE,
    ...(has('migrate') ? [migrate] : []),
    ...(has('cstate') ? [] : [host.AWAKE]),
  ];
}

export interface Selftest {
  readonly lines: readonly string[];
  readonly breaker: Breaker;
}

/** The C file. The same schedule gives the same text. @param guest - names what guests run. */
export function selftest(replay: ReplayCase, guest: string): Selftest {
  const run = runFor(replay);
  const body = [
    ...includes(),
    '',
    ...numbersText(run),
    GUEST_SIDE.trimEnd(),
    ...guestsText(run),
    host.VCPU_THREAD,
    ...tablesText(run),
    ...hostText(run).map((text) => text.trimEnd()),
    ...scheduleText(run),
    host.MAIN.trimEnd(),
  ];
  const lines = [...headText(run, guest, body), '', ...body].join('\n').split('\n');
  return { lines, breaker: run.breaker };
}
