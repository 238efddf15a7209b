/** How clang is called for the files of a tree, and for those of ours. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { COUNT_ARCS } from '../gcov/gcov.js';

/** The build puts a copy beside the code. */
export const SHIM: string = fileURLToPath(new URL('./c/', import.meta.url));

/** Our headers and C files for KVM. */
export const KVM_SHIM: string = join(SHIM, 'kvm/');

/** As Kbuild compiles, as far as it changes what code means; the warnings are the kernel's own. */
export const COMPILE: readonly string[] = [
  '-c',
  '-O2',
  // From clang 15 on, more of WebAssembly is used by itself, of which wasm-opt may not know.
  '-mcpu=mvp',
  '-std=gnu11',
  '-ffreestanding',
  '-fno-builtin',
  '-fno-common',
  '-fms-extensions',
  '-fno-strict-aliasing',
  '-fwrapv',
  '-fno-delete-null-pointer-checks',
  '-nostdinc',
  '-Wno-everything',
  // A function without a prototype would become an import of a wrong type.
  '-Werror=implicit-function-declaration',
  '-D__KERNEL__',
  // EXPORT_SYMBOL() is inline assembly.
  '-D__DISABLE_EXPORTS',
  '-DKBUILD_MODNAME="vlbr"',
  '-DKBUILD_BASENAME="vlbr"',
  '-DKBUILD_MODFILE="vlbr"',
  // Bare WebAssembly has no return addresses.
  '-D__builtin_return_address(level)=((void *)0)',
  '-D__builtin_frame_address(level)=((void *)0)',
];

/** Makes a file count; the paths of its sources are then those within the tree. */
export const COUNTING: readonly string[] = [...COUNT_ARCS, '-ffile-compilation-dir=.'];

/** The headers that are read first to last: ours, those made from the tree, the tree's own. */
export function includesOf(tree: string, generated: string): string[] {
  const own = ['arch/x86/include', 'include', 'arch/x86/include/uapi', 'include/uapi', ''];
  return [SHIM, generated, ...own.map((path) => join(tree, path))].map((path) => `-I${path}`);
}

export function forced(tree: string): string[] {
  const headers = ['kconfig.h', 'compiler_types.h'].map((name) =>
    join(tree, 'include/linux', name),
  );
  return [...headers, join(SHIM, 'prototypes.h')].flatMap((path) => ['-include', path]);
}

/** What inline assembly does not write in KVM is 0. */
const ZERO: readonly string[] = ['-Xclang', '-ftrivial-auto-var-init=zero'];

/** What is read before the files of KVM besides; those of vmx/ have the VMX instructions. */
export function forcedForKvm(tree: string, file: string): string[] {
  const vmx = file.includes('/vmx/') || file.startsWith(KVM_SHIM) ? ['vmx_ops.h'] : [];
  const headers = ['prototypes.h', 'assembly.h', ...vmx].map((name) => join(KVM_SHIM, name));
  const folders = ['arch/x86/kvm', 'virt/kvm'].map((folder) => `-I${join(tree, folder)}`);
  return [...ZERO, ...folders, ...headers.flatMap((path) => ['-include', path])];
}

/** Makes __FILE__, which a warning shows, the path within the tree, wherever the tree lies. */
export function nameWithin(tree: string): string[] {
  return [`-ffile-prefix-map=${tree}/=`, `-ffile-prefix-map=${SHIM}=shim/`];
}
