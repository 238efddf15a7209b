/** What KVM asks of the world outside besides what perf does: see imports.ts. */
import type { Answer, Asking } from './imports.js';

/** Names of answers that are always 0, or nothing: why each may be. */
export const KVM_NOTHING: Readonly<Record<string, readonly string[]>> = {
  'no guest has memory: nothing is translated, and nothing is mapped': [
    'kvm_mmu_x86_module_init',
    'kvm_enable_tdp',
    'kvm_mmu_reset_context',
    'kvm_mmu_set_mmio_spte_mask',
    'kvm_mmu_module_init',
    'kvm_mmu_vendor_module_init',
    'kvm_mmu_set_ept_masks',
    'kvm_mmu_set_mask_ptes',
    'kvm_mmu_set_me_spte_mask',
    'kvm_configure_mmu',
    'kvm_async_pf_init',
    'kvm_async_pf_vcpu_init',
    'kvm_check_async_pf_completion',
    'kvm_gpc_init',
    'kvm_gpc_deactivate',
    'kvm_clear_async_pf_completion_queue',
    'kvm_init_mmu',
    'kvm_mmu_destroy',
    'kvm_dirty_ring_free',
    'kvm_dirty_ring_check_request',
    'kvm_mmu_after_set_cpuid',
    'kvm_coalesced_mmio_init',
    'kvm_mmu_init_vm',
    'kvm_mmu_pre_destroy_vm',
    'kvm_mmu_unload',
    'kvm_mmu_uninit_vm',
    'kvm_page_track_cleanup',
    'kvm_coalesced_mmio_free',
    'mmu_notifier_unregister',
    '__mmdrop',
    'kvm_mmu_post_init_vm',
    'kvm_page_track_init',
    'mmu_notifier_register',
  ],
  'no guest is a hypervisor: VMX is not offered': [
    'nested_vmx_setup_ctls_msrs',
    'nested_vmx_hardware_setup',
    'vmx_get_vmx_msr',
    'kvm_hv_init_vm',
    'kvm_hv_destroy_vm',
    'kvm_hv_vcpu_uninit',
    'kvm_hv_vcpu_init',
    'kvm_hv_vcpu_postcreate',
    'kvm_hv_set_cpuid',
    'kvm_hv_setup_tsc_page',
    'nested_vmx_set_vmcs_shadowing_bitmap',
    'nested_vmx_free_vcpu',
  ],
  'no interrupt comes to a guest but the PMI': [
    'pi_init_cpu',
    'pi_apicv_pre_state_restore',
    'vmx_vcpu_pi_load',
    'vmx_vcpu_pi_put',
    'kvm_set_posted_intr_wakeup_handler',
    'kvm_irqfd_init',
    '__kvm_migrate_pit_timer',
    'kvm_scan_ioapic_routes',
    'kvm_eventfd_init',
    'kvm_irqfd_release',
    'kvm_free_pit',
    'kvm_free_irq_routing',
    'kvm_pic_destroy',
    'kvm_ioapic_destroy',
    'kvm_setup_empty_irq_routing',
    'kvm_set_irq_routing',
    'kvm_init_irq_routing',
  ],
  'control registers and PT are not modelled': [
    'cr4_read_shadow',
    'cr4_set_bits',
    'read_pkru',
    'invalidate_tss_limit',
    'load_fixmap_gdt',
    'load_gs_index',
    '__get_current_cr3_fast',
    'native_read_cr2',
    'cpu_kernelmode_gs_base',
    'is_64bit_mm',
    'fpregs_assert_state_consistent',
    'fpregs_lock',
    'fpregs_unlock',
    'xstate_get_guest_group_perm',
    'read_cr0',
    'set_debugreg',
    '__read_cr3',
    'intel_pt_handle_vmx',
  ],
  'nobody waits, since one function runs at a time': [
    '__init_rwsem',
    '__init_swait_queue_head',
    'swake_up_one',
    'cleanup_srcu_struct',
    'cancel_delayed_work_sync',
    'put_pid',
    'migrate_disable',
    'migrate_enable',
    '___migrate_enable',
  ],
  'the host is neither suspended nor stopped, and has one clock': [
    'pvclock_gtod_register_notifier',
    'cpu_emergency_register_virt_callback',
    'register_syscore_ops',
    'register_syscore',
    'x86_virt_register_emergency_callback',
    'x86_virt_get_ref',
    'check_tsc_unstable',
    'init_timer_key',
    'ktime_get_raw',
    'ktime_get',
    'ktime_get_with_offset',
    'rdtsc',
  ],
};

/** Names of answers that are always 1. */
export const KVM_ONE: readonly string[] = [
  'cpu_has_vmx',
  '___ratelimit',
  '__is_canonical_address',
  'kvm_hv_get_msr_common',
  'kvm_hv_set_msr_common',
];

/**
 * Instructions that have nothing to do: each CPU is in VMX operation from the start, and none has a
 * feature for which an instruction would be put in place of nothing. A division scales the guest's
 * clock, which nobody reads. What an instruction would give is 0: so the compiler is asked.
 */
const INSTRUCTIONS: readonly RegExp[] = [
  /\bvmxon\b/,
  /\bvmxoff\b/,
  /^ALTERNATIVE\(""/,
  /^"div[lq] %2/,
  /^"[sl]ldt %0/,
  /^"mov %%[cd-gs]s, ?%/,
  // Up to 5.7 the host's handler of an interrupt that has ended the guest's run is called so.
  /^"mov %%" _ASM_SP /,
];

/** CPUID leaves that have subleaves. SDM: Vol. 2, "CPUID". */
const INDEXED: ReadonlySet<number> = new Set([
  4, 7, 0xb, 0xd, 0xf, 0x10, 0x12, 0x14, 0x17, 0x18, 0x1d, 0x1e, 0x1f, 0x8000_001d,
]);

export function kvmAnswers(kernel: Asking): Record<string, Answer> {
  const first: Answer = (size) => kernel.ask('vlbr_alloc', size);
  const duplicate: Answer = (from, bytes) => {
    const copy = kernel.ask('vlbr_alloc', bytes);
    kernel.copy(copy, from, bytes);
    return copy;
  };
  return {
    __vmalloc: first,
    vzalloc: first,
    __vmalloc_noprof: first,
    vmalloc_noprof: first,
    kvmalloc_node: first,
    __kvmalloc_node_noprof: first,
    vfree: (address) => kernel.ask('vlbr_free', address),
    kvfree: (address) => kernel.ask('vlbr_free', address),
    kmem_cache_alloc_lru: (cache) => kernel.ask('vlbr_alloc', kernel.readInt(cache)),
    kmem_cache_alloc_lru_noprof: (cache) => kernel.ask('vlbr_alloc', kernel.readInt(cache)),
    free_pages: (page, order) => kernel.ask('vlbr_free_pages', page, order),
    __free_pages: (page, order) => kernel.ask('vlbr_free_struct_page', page, order),
    memdup_user: duplicate,
    vmemdup_user: duplicate,
    vmemdup_array_user: (from, n, size) => duplicate(from, n * size),
    cpuid_function_is_indexed: (leaf) => (INDEXED.has(leaf) ? 1 : 0),
    __canonical_address: (address) => address,
    x86_family: (signature) => (signature >> 8) & 0xf,
    x86_model: (signature) => ((signature >> 4) & 0xf) | ((signature >> 12) & 0xf0),
    x86_stepping: (signature) => signature & 0xf,
    vlbr_fail(what, how) {
      throw new Error(`KVM: ${kernel.text(what)} failed: ${how}`);
    },
    vlbr_assembly(at) {
      const text = kernel.text(at);
      if (INSTRUCTIONS.some((pattern) => pattern.test(text))) return undefined;
      throw new Error(`KVM reaches an instruction that vlbr has not: ${text}`);
    },
  };
}
