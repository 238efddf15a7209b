/**
 * Not a model: the KVM of the kernel tree that runs, its own C (machine/kvm_image.ts). It needs no
 * hooks. What it is known to break depends on the tree's version.
 */
import { LBR_FORMAT_INFO2 } from '../../hw/cpu_models.js';
import { BREAKS, merged } from './merged.js';
import { type LbrPolicy, PASS_THROUGH } from './policy.js';

const UNCHECKED = 'an intercepted write reaches WRMSR unchecked, and the kernel warns of its fault';

export const kvm: LbrPolicy = {
  ...PASS_THROUGH,
  name: 'kvm',
  ofTree: true,
  dropsWithoutEvent: true,
  summary: 'the KVM of the kernel tree that runs: its own C; needs --kernel-src',
  cites: 'arch/x86/kvm of the tree that is named',
  assumes: merged.assumes,
  // Beside those of `merged`, its thread is on a pCPU for its migration.
  needlessSwitches: merged.needlessSwitches + 2,
  knownFailures: {
    ...BREAKS,
    'no-warn': { why: UNCHECKED },
    'pass-through': {
      why: 'KVM up to 6.2 knows INFO of LBR_FMT 5 only, and so that of format 7 is intercepted',
      where: ({ lbr_format }) => lbr_format === LBR_FORMAT_INFO2,
    },
  },
  withoutCallstack: { ...merged.withoutCallstack },
  notApplicable: {},
  inUse: (vcpu) => vcpu.msr_passthrough,
};

/** A later version, which breaks these properties no more. */
function without(policy: LbrPolicy, ...mended: readonly string[]): LbrPolicy {
  const known = Object.entries(policy.knownFailures).filter(([name]) => !mended.includes(name));
  return { ...policy, knownFailures: Object.fromEntries(known) };
}

/** Since 6.3, commit 03c4c7f88709. */
const KNOWS_INFO: LbrPolicy = without(kvm, 'pass-through');

/** In 7.2.12 and 7.3.4 a write that faults is the guest's fault (commit ca674df13b19). */
const CHECKED: LbrPolicy = without(KNOWS_INFO, 'no-fault', 'no-warn');

/** The KVM of a tree of some version, as `7.3.4`; of an unknown one, as of the newest. */
export function kvmOf(version: string): LbrPolicy {
  const [major, minor] = version.split('.').map((part) => Number.parseInt(part, 10));
  if (major < 6 || (major === 6 && minor < 3)) return kvm;
  return major < 7 ? KNOWS_INFO : CHECKED;
}
