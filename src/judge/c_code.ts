/** C code of a tree that is under way: whose it is, by the file that defines it. */
import { callers } from '../guest/image/callers.js';
import type { Kernel } from '../guest/perf/kernel.js';
import type { Definitions } from '../guest/perf/lbr_driver.js';
import type { Actor } from './running.js';

const KVM_FILES = /^(?:arch\/x86|virt)\/kvm\//;
const PERF_FILES = /^(?:arch\/x86|kernel)\/events\//;

/** The functions of perf and of KVM that are under way, the innermost first. */
export function codeUnderWay(definitions: Definitions, kernel: Kernel, cpu: number): Actor[] {
  return callers().flatMap((name): Actor[] => {
    const place = definitions.get(name) ?? '';
    if (KVM_FILES.test(place)) return [{ who: 'kvm', name, kernel, cpu }];
    return PERF_FILES.test(place) ? [{ who: 'perf', name, kernel, cpu }] : [];
  });
}
