/** The command line of `vlbr kernel`. */
import { Command, Option } from 'commander';
import { addWidthOption, DRIVER_DEFAULT_SAYS, KERNEL_SRC_SAYS } from '../../console/arguments.js';
import { DRIVERS } from '../../console/drivers.js';
import { EXIT_CUT_SHORT, EXIT_EXPECTED, exitCodesText } from '../../console/exit_codes.js';
import { helpText } from '../../console/help.js';
import type { KernelBuildOptions } from './kernel_build.js';

const HELP = `
Of a tree it makes the image: the perf core and the x86 driver, whole, which it boots on each CPU.

Examples:
  vlbr kernel build --kernel-src ~/linux
  vlbr kernel build --driver lbr.c --kernel-src ~/linux -o lbr.wasm`;

const EXITS = exitCodesText({ [EXIT_EXPECTED]: 'it is done', [EXIT_CUT_SHORT]: 'interrupted' });

export function kernelCommand(): Command {
  const build = new Command('build')
    .description("compile a kernel's own perf, or its lbr.c alone, to WebAssembly")
    .addOption(
      new Option(
        '--driver <name>',
        `the whole path, or lbr.c alone; ${DRIVER_DEFAULT_SAYS}`,
      ).choices(DRIVERS.filter((name) => name !== 'port')),
    )
    .option('--kernel-src <path>', KERNEL_SRC_SAYS)
    .option('-o, --output <file>', 'write it there; it is kept in the cache anyway');
  addWidthOption(build)
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', helpText(HELP, EXITS))
    .action(async (options: KernelBuildOptions) => {
      const { kernelBuild } = await import('./kernel_build.js');
      await kernelBuild(options);
    });
  return new Command('kernel').description("a kernel's own code").addCommand(build);
}
