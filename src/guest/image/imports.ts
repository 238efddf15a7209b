/**
 * What the image asks of the world outside, by the names of the kernel's functions. An answer does
 * not depend on the types, which differ from tree to tree: addresses and numbers come and go as
 * numbers. What must call back into C, or keep something, is in c/kernel.c.
 */

import { KVM_NOTHING, KVM_ONE, kvmAnswers } from './kvm_imports.js';

/** What answers need of the instance that asks. */
export interface Asking {
  /** Calls a function of c/, by name. */
  ask(name: string, ...args: readonly number[]): number;
  copy(to: number, from: number, bytes: number): void;
  readInt(address: number): number;
  writeInt(address: number, value: number): void;
  text(address: number): string;
  /** Keeps a line that the kernel prints; its arguments lie one after the other. */
  print(format: string, args: number): void;
  /** A warning of the kernel, at a line of a file of the tree. */
  warn(file: string, line: number): void;
  /** A record of an event begins, given by its address; a part of it; its end. */
  sampleBegin(event: number): void;
  samplePart(address: number, bytes: number): void;
  sampleEnd(): void;
  cpuHas(feature: number): boolean;
  /** EAX, EBX, ECX and EDX. */
  cpuid(leaf: number, subleaf: number): readonly number[];
}

export type Answer = (...args: number[]) => number | undefined;

/** Names of answers that are always 0, or nothing: why each may be. */
const NOTHING: Readonly<Record<string, readonly string[]>> = {
  'nobody waits, since one function runs at a time': [
    'down_read',
    'down_read_interruptible',
    'down_write',
    'up_read',
    'up_write',
    'percpu_down_write',
    'percpu_up_write',
    '__percpu_down_read',
    'rcuwait_wake_up',
    '__init_waitqueue_head',
    '__wake_up',
    'wake_up_var',
    'kill_fasync',
    '__srcu_read_lock',
    '__srcu_read_unlock',
    'init_srcu_struct',
    'init_srcu_struct_generic',
    'synchronize_srcu',
    'synchronize_rcu',
    'get_state_synchronize_rcu',
    '__cond_resched',
  ],
  'work that perf queues for later is of its statistics': ['queue_delayed_work_on'],
  'not modelled: the APIC, CR4, BTS, PT': [
    'apic_write',
    'cr4_update_pce',
    'inc_perf_irq_stat',
    'intel_bts_disable_local',
    'intel_bts_enable_local',
    'intel_bts_interrupt',
    'intel_pt_interrupt',
    'is_intel_pt_event',
    'release_perfctr_nmi',
    'release_evntsel_nmi',
    'wrmsr_on_cpu',
    'wrmsrq_on_cpu',
    'get_this_hybrid_cpu_type',
  ],
  'there is no sysfs and no reboot': [
    'bus_register',
    'device_initialize',
    'device_add',
    'dev_set_name',
    'register_reboot_notifier',
    'snprintf',
    'scnprintf',
    'sprintf',
  ],
  'file descriptors and users are not counted': [
    'free_uid',
    '__put_task_struct_rcu_cb',
    'free_percpu',
    'kvfree_call_rcu',
    'irq_work_queue',
    'irq_work_sync',
  ],
};

/** Names of answers that are always 1. */
const ONE: readonly string[] = [
  'check_zeroed_user',
  'reserve_perfctr_nmi',
  'reserve_evntsel_nmi',
  'kernel_text_address',
  'ptrace_may_access',
  'topology_max_smt_threads',
  'sched_clock_stable',
  'x86_cpu_has_min_microcode_rev',
  'x86_match_min_microcode_rev',
  'nmi_uaccess_okay',
  '__task_pid_nr_ns',
];

/** The answers for an instance. A name that is missing is one that perf is not known to call. */
export function answers(kernel: Asking): ReadonlyMap<string, Answer> {
  const all = new Map<string, Answer>();
  for (const names of [NOTHING, KVM_NOTHING]) {
    for (const name of Object.values(names).flat()) all.set(name, () => 0);
  }
  for (const name of [...ONE, ...KVM_ONE]) all.set(name, () => 1);
  const put = (table: Readonly<Record<string, Answer>>): void => {
    for (const [name, answer] of Object.entries(table)) all.set(name, answer);
  };
  put(memoryAnswers(kernel));
  put(machineAnswers(kernel));
  put(outputAnswers(kernel));
  put(kvmAnswers(kernel));
  return all;
}

/** kmalloc() and its kin in the spellings of all trees, by where each has the size. */
function memoryAnswers(kernel: Asking): Record<string, Answer> {
  const first: Answer = (size) => kernel.ask('vlbr_alloc', size);
  const third: Answer = (_cache, _flags, size) => kernel.ask('vlbr_alloc', size);
  const fourth: Answer = (_cache, _flags, _node, size) => kernel.ask('vlbr_alloc', size);
  const percpu: Answer = (size) => kernel.ask('vlbr_alloc_percpu', size);
  const create: Answer = (_name, size) => {
    const cache = kernel.ask('vlbr_alloc', Int32Array.BYTES_PER_ELEMENT);
    kernel.writeInt(cache, size);
    return cache;
  };
  const ofCache: Answer = (cache) => kernel.ask('vlbr_alloc', kernel.readInt(cache));
  const page: Answer = (_flags, order) => kernel.ask('vlbr_alloc_pages', order);
  const copy: Answer = (to, from, bytes) => {
    kernel.copy(to, from, bytes);
    return 0;
  };
  return {
    __kmalloc: first,
    __kmalloc_node: first,
    __kmalloc_noprof: first,
    __kmalloc_node_noprof: first,
    __kmalloc_large_noprof: first,
    kmalloc_trace: third,
    __kmalloc_cache_noprof: third,
    kmalloc_node_trace: fourth,
    __kmalloc_cache_node_noprof: fourth,
    kmem_cache_create: create,
    kmem_cache_create_usercopy: create,
    __kmem_cache_create_args: create,
    kmem_cache_alloc: ofCache,
    kmem_cache_alloc_node: ofCache,
    kmem_cache_alloc_noprof: ofCache,
    kmem_cache_alloc_node_noprof: ofCache,
    get_zeroed_page: () => kernel.ask('vlbr_alloc_pages', 0),
    get_zeroed_page_noprof: () => kernel.ask('vlbr_alloc_pages', 0),
    __get_free_pages: page,
    get_free_pages_noprof: page,
    __alloc_pages: (_flags, order) => kernel.ask('vlbr_alloc_struct_page', order),
    __alloc_pages_nodemask: (_flags, order) => kernel.ask('vlbr_alloc_struct_page', order),
    alloc_pages_node_noprof: (_node, _flags, order) => kernel.ask('vlbr_alloc_struct_page', order),
    __alloc_pages_noprof: (_flags, order) => kernel.ask('vlbr_alloc_struct_page', order),
    kfree: (address) => kernel.ask('vlbr_free', address),
    kmem_cache_free: (_cache, address) => kernel.ask('vlbr_free', address),
    __alloc_percpu: percpu,
    pcpu_alloc_noprof: percpu,
    raw_copy_from_user: copy,
    raw_copy_to_user: copy,
    _copy_from_user: copy,
    _copy_to_user: copy,
  };
}

function machineAnswers(kernel: Asking): Record<string, Answer> {
  return {
    vlbr_cpu_has: (feature) => (kernel.cpuHas(feature) ? 1 : 0),
    vlbr_cpuid(leaf, subleaf, registers) {
      const values = kernel.cpuid(leaf, subleaf);
      for (const [i, value] of values.entries()) kernel.writeInt(registers + 4 * i, value);
      return undefined;
    },
  };
}

function outputAnswers(kernel: Asking): Record<string, Answer> {
  /** The event stands before the size, the last one; 5.9 has no data before the event. */
  const begin: Answer = (...args) => {
    kernel.sampleBegin(args[args.length - 2]);
    return 0;
  };
  const print: Answer = (format, args) => {
    kernel.print(kernel.text(format), args);
    return 0;
  };
  return {
    printk: print,
    _printk: print,
    warn_slowpath_fmt(file, line) {
      kernel.warn(kernel.text(file), line);
      return undefined;
    },
    panic(format) {
      throw new Error(`panic: ${kernel.text(format)}`);
    },
    perf_output_begin: begin,
    perf_output_begin_forward: begin,
    perf_output_begin_backward: begin,
    perf_output_copy(_handle, from, bytes) {
      kernel.samplePart(from, bytes);
      return 0;
    },
    perf_output_end() {
      kernel.sampleEnd();
      return undefined;
    },
  };
}
