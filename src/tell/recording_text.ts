/** A recording in words: who is a vCPU and from what that is known, how it was switched. */
import { type HostSchedule, type Recording, summarize } from '../recording/recording.js';
import { SLICE_BOUNDS, type Statistics, statisticsOf } from '../recording/statistics.js';
import type { VcpuThread } from '../recording/vcpus.js';
import { printable } from '../recording/trace_error.js';
import { tableLines } from '../console/table.js';
import { grouped, plural, textWidth, wrap } from '../console/text.js';

/** How messages speak of a VM. */
function vmName({ vms }: HostSchedule, vm: number): string {
  return vms[vm].name;
}

const VCPU_BY: Readonly<Record<VcpuThread['vcpuFrom'], string>> = {
  given: '--vm',
  kvm: 'KVM events',
  name: 'its name',
};

const VM_BY: Readonly<Record<VcpuThread['vmFrom'], string>> = {
  given: '--vm',
  name: 'its name',
  process: 'its process',
  'hand-overs': 'hand-overs',
  pids: 'order of pids',
};

const GUESS_SAYS =
  'which VM a vCPU belongs to is a guess where this says so; correct it with --vm NAME=PID,PID';

/** Whether any vCPU's VM is guessed and could be another one. */
function isGuessed({ vcpus }: HostSchedule): boolean {
  return vcpus.length > 1 && vcpus.some(({ sure }) => sure !== 'certain');
}

/** The most VMs, and vCPUs of each, that the short text names. */
const NAMED_MAX = 8;

/** From certain to guessed. */
const SURENESS: readonly VcpuThread['sure'][] = ['certain', 'likely', 'guess'];

/** The vCPUs of a VM, and the weakest of what says so. */
function vmLine(recording: Recording, vm: number): string {
  const members = recording.vcpus.filter((vcpu) => vcpu.vm === vm);
  const named = members.slice(0, NAMED_MAX).map(({ comm, pid }) => `${comm}-${pid}`);
  const rest = members.length > NAMED_MAX ? ` and ${members.length - NAMED_MAX} more` : '';
  const weakest = members.reduce((a, b) =>
    SURENESS.indexOf(b.sure) > SURENESS.indexOf(a.sure) ? b : a,
  );
  const by = new Set(members.map(({ vcpuFrom }) => VCPU_BY[vcpuFrom]));
  return (
    `VM ${vmName(recording, vm)}: ${named.join(', ')}${rest} (vCPUs by ${[...by].join(' and ')}; ` +
    `VM by ${VM_BY[weakest.vmFrom]}, ${weakest.sure})`
  );
}

/** What was guessed, in a few lines behind an indent. */
export function guessLines(recording: Recording, indent = ''): string[] {
  const { vms, gapCount, losses, machines } = recording;
  const texts = vms.slice(0, NAMED_MAX).map((_, vm) => vmLine(recording, vm));
  if (vms.length > NAMED_MAX) texts.push(`and ${plural(vms.length - NAMED_MAX, 'more VM')}`);
  if (isGuessed(recording)) texts.push(GUESS_SAYS);
  if (machines.length > 1) texts.push(`machines: ${machines.map(quoted).join(', ')}`);
  if (gapCount > 0 || losses > 0) texts.push(gapText(recording));
  if (recording.interrupted) texts.push(INTERRUPTED_SAYS);
  return texts.flatMap((text) => wrap(text, indent, `${indent}  `));
}

const INTERRUPTED_SAYS = 'the reading was interrupted: this is what came until then';

function quoted(name: string): string {
  return `'${printable(name)}'`;
}

/** The whole report of `vlbr look`. */
export function recordingLines(recording: Recording): string[] {
  const statistics = statisticsOf(recording);
  return [
    ...headLines(recording),
    '',
    ...vcpuLines(recording, statistics),
    '',
    ...switchLines(recording),
    '',
    ...sliceLines(statistics),
    ...exitLines(statistics),
    '',
    ...wrap(gapText(recording), '', '  '),
    ...wrap(inferredText(recording, statistics), '', '  '),
    ...(recording.interrupted ? [INTERRUPTED_SAYS] : []),
  ];
}

function headLines({ form, lines, switches, from, to, machines }: Recording): string[] {
  const span = `${((to - from) / 1e9).toFixed(6)} s`;
  const what = `${plural(lines, 'line')} of ${form}, ${plural(switches, 'sched_switch event')}`;
  const texts = [`read: ${what} in ${span}`];
  if (machines.length > 1) texts.push(`machines in it: ${machines.map(quoted).join(', ')}`);
  return texts.flatMap((text) => wrap(text, '', '  '));
}

function vcpuLines(recording: Recording, { vcpus: counts }: Statistics): string[] {
  const { vcpus } = recording;
  const hasExits = counts.some(({ exits, entries }) => exits + entries > 0);
  const rows = vcpus.map((vcpu, i) => {
    const { switches, migrations, resident, exits } = counts[i];
    return [
      `${vmName(recording, vcpu.vm)}/${vcpu.index}`,
      String(vcpu.pid),
      vcpu.comm,
      VCPU_BY[vcpu.vcpuFrom],
      `${VM_BY[vcpu.vmFrom]} (${vcpu.sure})`,
      grouped(switches),
      grouped(migrations),
      (resident / 1e6).toFixed(3),
      ...(hasExits ? [grouped(exits)] : []),
    ];
  });
  const head = [
    'VM/vCPU',
    'pid',
    'thread',
    'vCPU by',
    'VM by',
    'comes in',
    'migrates',
    'runs, ms',
    ...(hasExits ? ['exits'] : []),
  ];
  const lines = tableLines(head, rows);
  return isGuessed(recording) ? [...lines, ...wrap(GUESS_SAYS, '', '  ')] : lines;
}

function switchLines(recording: Recording): string[] {
  const { pcpus } = recording;
  const { vms, vcpus, vcpu_switches, changes, changes_across_vms, migrations } =
    summarize(recording);
  const who = `${plural(vcpus, 'vCPU')} of ${plural(vms, 'VM')} on ${plural(pcpus.length, 'pCPU')}`;
  return [
    ...wrap(`${who} (${rangesOf(pcpus)})`, '', '  '),
    ...wrap(
      `${plural(vcpu_switches, 'vCPU switch')}, ${plural(changes, 'change')} of the vCPU on a ` +
        `pCPU, ${grouped(changes_across_vms)} of them to another VM, ` +
        `${plural(migrations, 'migration')}`,
      '',
      '  ',
    ),
  ];
}

/** `0-3, 8` for 0, 1, 2, 3, 8. */
export function rangesOf(numbers: readonly number[]): string {
  const ranges: string[] = [];
  for (let i = 0; i < numbers.length;) {
    let last = i;
    while (numbers[last + 1] === numbers[last] + 1) last++;
    ranges.push(last === i ? String(numbers[i]) : `${numbers[i]}-${numbers[last]}`);
    i = last + 1;
  }
  return ranges.join(', ');
}

const SLICE_NAMES: readonly string[] = [
  'below 1 us',
  '1 to 10 us',
  '10 to 100 us',
  '0.1 to 1 ms',
  '1 to 10 ms',
  '10 to 100 ms',
  '100 ms and more',
];

const BAR_MAX = 40;

function slicesOf({ vcpus }: Statistics): number[] {
  return SLICE_BOUNDS.map((_, i) => vcpus.reduce((sum, { slices }) => sum + slices[i], 0));
}

function sliceLines(statistics: Statistics): string[] {
  const counts = slicesOf(statistics);
  const most = Math.max(1, ...counts);
  const width = Math.max(...counts.map((count) => grouped(count).length));
  const heads = counts.map((count, i) => {
    return `  ${SLICE_NAMES[i].padEnd(15)} ${grouped(count).padStart(width)} `;
  });
  const bar = Math.min(BAR_MAX, textWidth() - heads[0].length);
  return [
    'slices, from the switch to a vCPU to the next one:',
    ...counts.map((count, i) => {
      return `${heads[i]}${'#'.repeat(Math.ceil((count / most) * bar))}`.trimEnd();
    }),
  ];
}

const REASONS_SHOWN = 8;

function exitLines({ reasons }: Statistics): string[] {
  if (reasons.length === 0) return [];
  const shown = reasons.slice(0, REASONS_SHOWN).map(([reason, n]) => `${reason} ${grouped(n)}`);
  const rest = reasons.length > REASONS_SHOWN ? `, and ${reasons.length - REASONS_SHOWN} more` : '';
  return ['', ...wrap(`exits: ${shown.join(', ')}${rest}`, '', '  ')];
}

const GAPS_SHOWN = 5;

function gapText({ gaps, gapCount, losses }: Recording): string {
  if (gapCount === 0) {
    const lost = losses === 0 ? 'none' : `${plural(losses, 'report')}, none of which hides a vCPU`;
    return `lost events: ${lost}; gaps: none`;
  }
  const shown = gaps
    .slice(0, GAPS_SHOWN)
    .map(({ line, cpu, told }) => `line ${line} on CPU ${cpu}${told ? '' : ', not told'}`);
  const rest = gapCount > shown.length ? `; and ${grouped(gapCount - shown.length)} more` : '';
  return (
    `lost events: ${plural(losses, 'report')}; ${plural(gapCount, 'gap')} in which a vCPU was ` +
    `switched unseen: ${shown.join('; ')}${rest}`
  );
}

function inferredText({ steps }: Recording, { inferred }: Statistics): string {
  return (
    `inferred: ${grouped(inferred)} of ${plural(steps.length, 'step')}, which the recording ` +
    'proves and does not hold'
  );
}

/** The same as one JSON value; its keys are stable (README, "JSON"). */
export function recordingJson(recording: Recording): object {
  const statistics = statisticsOf(recording);
  const { form, lines, switches, from, to, machines, vcpus, pcpus } = recording;
  return {
    file: recording.file,
    form,
    lines,
    sched_switches: switches,
    span_ns: to - from,
    machines,
    interrupted: recording.interrupted,
    ...summarize(recording),
    vcpu_threads: vcpus.map((vcpu, i) => ({
      ...vcpu,
      vm: vmName(recording, vcpu.vm),
      ...statistics.vcpus[i],
    })),
    pcpu_numbers: pcpus,
    slice_bounds_ns: SLICE_BOUNDS.filter(Number.isFinite),
    slices: slicesOf(statistics),
    exit_reasons: Object.fromEntries(statistics.reasons),
    losses: recording.losses,
    gaps: recording.gapCount,
    gap_places: recording.gaps,
    inferred_steps: statistics.inferred,
    msr_accesses: recording.msrAccesses,
  };
}
