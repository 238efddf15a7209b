/*
 * Stands for arch/x86/kvm/vmx/vmx_ops.h, whose guard it takes: the VMX instructions are the
 * machine's to carry out. INVVPID and INVEPT do nothing, since there is no memory to translate.
 */
#ifndef __KVM_X86_VMX_INSN_H
#define __KVM_X86_VMX_INSN_H
#include <linux/types.h>
#include <linux/bug.h>
#include <asm/vmx.h>
#if __has_include(<vmx/evmcs.h>)
#include <vmx/evmcs.h>
#elif __has_include(<vmx/hyperv_evmcs.h>)
#include <vmx/hyperv_evmcs.h>
#endif
struct vmcs;
u64 vlbr_vmread(u32 field);
void vlbr_vmwrite(u32 field, u64 value);
void vlbr_vmclear(const struct vmcs *vmcs);
void vlbr_vmptrld(const struct vmcs *vmcs);

#define vmcs_read16(field) ((u16)vlbr_vmread(field))
#define vmcs_read32(field) ((u32)vlbr_vmread(field))
#define vmcs_read64(field) vlbr_vmread(field)
#define vmcs_readl(field) ((unsigned long)vlbr_vmread(field))
#define vmcs_write16(field, value) vlbr_vmwrite(field, (u16)(value))
#define vmcs_write32(field, value) vlbr_vmwrite(field, (u32)(value))
#define vmcs_write64(field, value) vlbr_vmwrite(field, value)
#define vmcs_writel(field, value) vlbr_vmwrite(field, value)
#define __vmcs_readl vmcs_readl
#define __vmcs_writel vmcs_writel
#define vmcs_clear_bits(field, mask) vlbr_vmwrite(field, vlbr_vmread(field) & ~(u64)(mask))
#define vmcs_set_bits(field, mask) vlbr_vmwrite(field, vlbr_vmread(field) | (u64)(mask))
#define vmcs_clear(vmcs) vlbr_vmclear(vmcs)
#define vmcs_load(vmcs) vlbr_vmptrld(vmcs)
#define vpid_sync_context(vpid) do { } while (0)
#define vpid_sync_vcpu_single(vpid) do { } while (0)
#define vpid_sync_vcpu_global() do { } while (0)
/* Up to 5.7 it tells whether it could. */
#define vpid_sync_vcpu_addr(vpid, addr) true
#define __invvpid(extent, vpid, address) do { } while (0)
#define ept_sync_global() do { } while (0)
#define ept_sync_context(eptp) do { } while (0)
#endif
