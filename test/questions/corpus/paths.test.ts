/** A patch of the corpus may read and change sources of the model, and no other file. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { CorpusError } from '../../../src/questions/corpus/corpus_file.js';
import { patchedSource } from '../../../src/questions/corpus/patched_source.js';

const root = mkdtempSync(join(tmpdir(), 'vlbr-paths-'));
afterAll(() => rmSync(root, { recursive: true }));

/** A diff of an existing file. */
function diffOf(path: string): string {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), 'one\ntwo\n');
  return `--- a/${path}\n+++ b/${path}\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n`;
}

describe('patchedSource', () => {
  it.each(['src/a.ts', 'src/hw/a.ts', 'src/hw/b/a.ts'])(
    'patchedSource takes a patch of %s',
    (path) => {
      expect([...patchedSource(root, 'X01', diffOf(path)).keys()]).toEqual([path]);
    },
  );

  it.each(['bench/src/a.ts', 'mysrc/a.ts', 'src/a.ts.bak', 'src/a.tsx', 'src/a b.ts', 'src/b.js'])(
    'patchedSource never takes a patch of %s',
    (path) => {
      expect(() => patchedSource(root, 'X01', diffOf(path))).toThrow(CorpusError);
      expect(() => patchedSource(root, 'X01', diffOf(path))).toThrow(`${path} is no source`);
    },
  );

  it('patchedSource takes off the b/ that git puts before a path, and no other', () => {
    const path = 'src/lib/b/a.ts';
    expect([...patchedSource(root, 'X01', diffOf(path)).keys()]).toEqual([path]);
    const bare = diffOf(path).replace('+++ b/', '+++ ');
    expect([...patchedSource(root, 'X01', bare).keys()]).toEqual([path]);
  });
});
