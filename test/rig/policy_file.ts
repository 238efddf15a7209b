/** Files of policies, as their authors write them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { never } from '../../src/host/policy/never.js';
import type { LbrPolicy } from '../../src/host/policy/policy.js';

/** A policy that is as `never`, but for its name and what is given. */
export function policyLike(
  changes: Partial<LbrPolicy> | Readonly<Record<string, unknown>>,
): object {
  return { ...never, name: 'mine', knownFailures: {}, notApplicable: {}, ...changes };
}

/** The text of a file whose policy passes everything through, but for some lines. */
export function policyText(lines: string, before = ''): string {
  return `${before}
const nothing = () => {};
const policy = {
  name: 'mine', summary: 'of a test', cites: 'nobody', assumes: 'nothing', words: ['live'],
  pv: 'none', needlessSwitches: 1, knownFailures: {}, notApplicable: {}, inUse: null,
  sched_in: nothing, vcpu_load: nothing, vcpu_put: nothing, handleRequests: nothing,
  vcpu_enter: nothing, vcpu_exit: nothing, mediated_put: nothing,
  get_msr: (kvm, vcpu, msr) => ({ eax: kvm.rdmsr(vcpu, msr), edx: kvm.edx, vector: 0 }),
  set_msr: (kvm, vcpu, msr, eax, edx) => kvm.wrmsr_safe(vcpu, msr, eax, edx),
  debugctlAccess: () => 0, setDebugctl: nothing, setPvLbrCtrl: nothing, deliver_pmi: nothing,
  host_perf_event: nothing, reset: (kvm, vcpu) => kvm.setPassthrough(vcpu, true),
  get_state: () => false, listsDebugctl: () => false, set_state: nothing,
  ${lines}
};
export default policy;
`;
}

/** Writes a file into a folder that goes when the test ends. Returns its path. */
export function writtenFile(text: string, name = 'mine.mjs'): string {
  const folder = mkdtempSync(join(tmpdir(), 'vlbr-policy-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}
