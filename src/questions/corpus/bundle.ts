/** Bundles the model's sources, patched or unmodified, and loads the bundle. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as Esbuild from 'esbuild';
import { CorpusError } from './corpus_file.js';
import type * as model from './model.js';
import type { PatchedFiles } from './patched_source.js';
import { discard, scratchFolder } from '../../tree/scratch.js';

/** A loaded model: the unmodified one, or a mutant. */
export type Model = typeof model;

const ENTRY = join('src', 'questions', 'corpus', 'model.ts');

/** The bundler of the clone, which `npm ci` installs. */
function bundlerOf(root: string): typeof Esbuild {
  const needs = 'vlbr corpus needs a clone of its repository, with npm ci done in it';
  if (!existsSync(join(root, ENTRY))) throw new CorpusError(`there is no src in ${root}: ${needs}`);
  try {
    return createRequire(join(root, 'package.json'))('esbuild') as typeof Esbuild;
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new CorpusError(`${needs}: ${why}`);
  }
}

/**
 * Loads the model of a clone with some files replaced.
 *
 * @throws CorpusError if the clone lacks something, or the sources do not build.
 */
export async function loadModel(root: string, patched: PatchedFiles): Promise<Model> {
  const { build } = bundlerOf(root);
  const replace: Esbuild.Plugin = {
    name: 'patched',
    setup({ onLoad }) {
      onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const name = relative(root, path).replaceAll('\\', '/');
        return { contents: patched.get(name) ?? readFileSync(path, 'utf8'), loader: 'ts' };
      });
    },
  };
  const options: Esbuild.BuildOptions = {
    absWorkingDir: root,
    entryPoints: [ENTRY],
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    write: false,
    logLevel: 'silent',
    plugins: [replace],
  };
  const { outputFiles = [] } = await build(options).catch((error: unknown) => {
    // The first line only counts the errors.
    const [head, ...errors] = String(error).trim().split('\n');
    throw new CorpusError(`src does not build: ${errors.length === 0 ? head : errors.join('; ')}`);
  });
  return loaded(outputFiles[0]?.text ?? '');
}

async function loaded(text: string): Promise<Model> {
  const folder = scratchFolder();
  try {
    const path = join(folder, 'model.mjs');
    writeFileSync(path, text);
    return (await import(pathToFileURL(path).href)) as Model;
  } finally {
    discard(folder);
  }
}
