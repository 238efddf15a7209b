/** The command line of `vlbr kernel`. */
import { Command, Option } from 'commander';
import { TREE_SAYS } from '../../console/arguments.js';
import { PLAIN_EXITS } from '../../console/exit_codes.js';
import type { KernelBuildOptions } from './kernel_build.js';

export function kernelCommand(): Command {
  const build = new Command('build')
    .description("compile a kernel's lbr.c, as it is, to WebAssembly")
    .option('--whole', "the tree's whole perf core and x86 driver; boots it on each CPU")
    .option('--kernel-src <path>', TREE_SAYS)
    // As it was called before.
    .addOption(new Option('--src <path>', TREE_SAYS).hideHelp().conflicts('kernelSrc'))
    .option('-o, --output <file>', 'write it there; it is kept in the cache anyway')
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', PLAIN_EXITS)
    .action(async ({ src, kernelSrc = src, ...rest }: KernelBuildOptions & { src?: string }) => {
      const { kernelBuild } = await import('./kernel_build.js');
      await kernelBuild({ ...rest, kernelSrc });
    });
  return new Command('kernel').description("a kernel's own lbr.c").addCommand(build);
}
