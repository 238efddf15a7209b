/**
 * MSRs of a processor with VMX that say what it can do, and a few more that a hypervisor reads when
 * it starts. Nothing of LBR depends on them beyond the controls that they allow.
 * SDM: Vol. 3D, "VMX Capability Reporting Facility"; Vol. 4, "Architectural MSRs".
 */

/** VMCS regions of 4 KiB, write-back; the controls that must be 1 are told by the TRUE MSRs. */
const BASIC: readonly [number, number] = [1, 0x1000 | (6 << (50 - 32)) | (1 << (55 - 32))];

/** What must be 1, and what may be: low and high half. */
const PIN: readonly [number, number] = [0x16, 0x3f];
const PROCESSOR: readonly [number, number] = [0x0401_e172, 0xfff9_fffe];
/** EPT, RDTSCP, VPID, unrestricted guest. */
const SECONDARY: readonly [number, number] = [0, 0xaa];
/** Among them: save debug controls, load IA32_PERF_GLOBAL_CTRL, PAT, EFER. */
const EXIT: readonly [number, number] = [0x0003_6dff, 0x003f_ffff];
const ENTRY: readonly [number, number] = [0x11ff, 0xffff];

const VALUES: Readonly<Record<number, readonly [low: number, high: number]>> = {
  // IA32_FEATURE_CONTROL: locked, VMX outside of SMX.
  0x3a: [5, 0],
  // IA32_SYSENTER_CS, ESP, EIP.
  0x174: [0, 0],
  0x175: [0, 0],
  0x176: [0, 0],
  // IA32_PAT after a reset.
  0x277: [0x0007_0406, 0x0007_0406],
  0x480: BASIC,
  0x481: PIN,
  0x482: PROCESSOR,
  0x483: EXIT,
  0x484: ENTRY,
  0x485: [0, 0],
  // CR0 and CR4: bits that must be 1, and that may be; encodings of fields.
  0x486: [0x8000_0021, 0],
  0x487: [0xffff_ffff, 0],
  0x488: [0x2000, 0],
  0x489: [0xffff_ffff, 0],
  0x48a: [0x2e, 0],
  0x48b: SECONDARY,
  // EPT of four levels, write-back, with all forms of INVEPT and INVVPID.
  0x48c: [0x0613_4141, 0xf01],
  0x48d: PIN,
  0x48e: PROCESSOR,
  0x48f: EXIT,
  0x490: ENTRY,
  // EFER: long mode, NX, system calls.
  0xc000_0080: [0xd01, 0],
  // Bases of segments.
  0xc000_0100: [0, 0],
  0xc000_0101: [0, 0],
  0xc000_0102: [0, 0],
};

/** The value of such an MSR, which nobody changes; undefined for any other MSR. */
export function vmxMsr(msr: number): readonly [low: number, high: number] | undefined {
  return VALUES[msr >>> 0];
}
