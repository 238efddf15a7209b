/** Errors in a corpus, a patch or a clone, and their messages. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadModel } from '../../../src/questions/corpus/bundle.js';
import type { Defect } from '../../../src/questions/corpus/corpus_file.js';
import {
  CorpusError,
  parseCorpus,
  patchText,
  readCorpus,
} from '../../../src/questions/corpus/corpus_file.js';
import { patchedSource } from '../../../src/questions/corpus/patched_source.js';
import { trialName, trialsOf } from '../../../src/questions/corpus/trial.js';

let root = '';

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'vlbr-corpus-test-'));
});

afterEach(() => {
  rmSync(root, { recursive: true });
});

function file(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

const SUSPECT = {
  name: 'X01',
  properties: ['no-loss/any'],
  policy: 'never',
  cpu: 'skylake',
  kernel: '6.1',
};

const SHAPE = { vms: 1, vcpus: 1, tasks: 2, pcpus: 1 };

const DEFECT = {
  id: 'X01',
  subject: 'fix it',
  commit: '0123456789ab',
  component: 'host',
  property_class: 'PRESERVE',
  kind: 'mutant',
  suspects: [SUSPECT],
  reason: '',
  fidelity: [],
};

const corpus = (...defects: readonly object[]): string => JSON.stringify(defects);
const parsed = (change: object): Defect[] => parseCorpus(corpus({ ...DEFECT, ...change }));
const suspect = (change: object): Defect[] => parsed({ suspects: [{ ...SUSPECT, ...change }] });

describe('parseCorpus', () => {
  it('parseCorpus always takes what is right', () => {
    expect(parsed({})).toEqual([DEFECT]);
    const outside = { kind: 'outside', suspects: [], reason: 'there is none', fidelity: ['F1'] };
    expect(parsed(outside)[0]?.kind).toBe('outside');
    expect(suspect({ name: 'X01.dual', shape: SHAPE })).toHaveLength(1);
  });

  const wrong: readonly (readonly [string, () => unknown, RegExp])[] = [
    ['no JSON', () => parseCorpus('{'), /^corpus\.json: .*JSON/],
    ['no list', () => parseCorpus('{}'), /a list of defects/],
    ['an id twice', () => parseCorpus(corpus(DEFECT, DEFECT)), /X01 is there twice/],
    ['no subject', () => parsed({ subject: 7 }), /X01: subject must be text/],
    ['an unknown kind', () => parsed({ kind: 'odd' }), /no kind 'odd'/],
    ['no rows', () => parsed({ fidelity: 'F1' }), /fidelity must be a list/],
    ['no list of suspects', () => parsed({ suspects: {} }), /suspects must be a list/],
    ['nothing to look for', () => parsed({ suspects: [] }), /nothing to look for/],
    ['outside without why', () => parsed({ kind: 'outside', suspects: [] }), /needs a reason/],
    ['outside, and looked for', () => parsed({ kind: 'outside', reason: 'x' }), /no suspects/],
    ["another defect's patch", () => suspect({ name: 'X02' }), /can't be named 'X02'/],
    ['no property', () => suspect({ properties: [] }), /names no property/],
    ['an unknown property', () => suspect({ properties: ['x'] }), /no property 'x'/],
    ['an unknown policy', () => suspect({ policy: 'x' }), /no policy 'x'/],
    ['an unknown CPU', () => suspect({ cpu: 'x' }), /no CPU 'x'/],
    ['an unknown contrast', () => suspect({ contrast: 'x' }), /no CPU 'x'/],
    ['an unknown kernel', () => suspect({ kernel: '5.4' }), /no kernel '5\.4'/],
    ['a shape that is none', () => suspect({ shape: { ...SHAPE, vms: 9 } }), /vms must be between/],
    ['a mutant with a contrast', () => suspect({ contrast: 'haswell' }), /for what is present/],
    ['what is present without one', () => parsed({ kind: 'present' }), /for what is present/],
  ];
  it.each(wrong)('parseCorpus never takes %s', (_name, read, message) => {
    expect(read).toThrow(CorpusError);
    expect(read).toThrow(message);
  });
});

describe('readCorpus', () => {
  it('readCorpus says that it needs a clone where there is no corpus', () => {
    expect(() => readCorpus(root)).toThrow(/needs a clone of its repository, with npm ci/);
  });
});

describe('trialsOf', () => {
  it('there is one trial for the model, and one for lbr.c where it has a patch', () => {
    file('test/corpus/X01.patch', 'a');
    expect(trialsOf(root, parsed({})).map(trialName)).toEqual(['X01']);
    file('test/corpus/X01.lbr.c.patch', 'b');
    expect(trialsOf(root, parsed({})).map(trialName)).toEqual(['X01', 'X01.lbr.c']);
    expect(patchText(root, 'X01.lbr.c')).toBe('b');
  });

  it('a mutant always has a patch, and what is present never has one', () => {
    expect(() => trialsOf(root, parsed({}))).toThrow(/X01\.patch is missing/);
    file('test/corpus/X01.patch', 'a');
    const present = parsed({ kind: 'present', suspects: [{ ...SUSPECT, contrast: 'haswell' }] });
    expect(() => trialsOf(root, present)).toThrow(/X01\.patch is not wanted/);
  });
});

const PATCH = `Subject: fix it

Why.
---

--- a/src/hw/a.ts
+++ b/src/hw/a.ts
@@ -1,2 +1,2 @@
 one
-two
+three
`;

describe('patchedSource', () => {
  const patched = (text: string): unknown => patchedSource(root, 'X01', text);

  it('patchedSource always applies a diff below a mail header', () => {
    file('src/hw/a.ts', 'one\ntwo\n');
    expect(patched(PATCH)).toEqual(new Map([['src/hw/a.ts', 'one\nthree\n']]));
  });

  it('patchedSource finds the lines where others were put before them', () => {
    file('src/hw/a.ts', 'zero\none\ntwo\n');
    expect(patched(PATCH)).toEqual(new Map([['src/hw/a.ts', 'zero\none\nthree\n']]));
  });

  it('patchedSource always applies two diffs of one file', () => {
    file('src/hw/a.ts', 'one\ntwo\n');
    const again = PATCH.slice(PATCH.indexOf('--- a/')).replace('-two\n+three', '-three\n+four');
    expect(patched(`${PATCH}${again}`)).toEqual(new Map([['src/hw/a.ts', 'one\nfour\n']]));
  });

  it('patchedSource never takes a patch that does not fit, or of another file', () => {
    file('src/hw/a.ts', 'one\n2\n');
    file('README.md', 'one\ntwo\n');
    const wrong: readonly (readonly [string, RegExp])[] = [
      [PATCH, /X01\.patch does not apply to src\/hw\/a\.ts/],
      [PATCH.replaceAll('src/hw/a.ts', 'src/hw/b.ts'), /src\/hw\/b\.ts is no source/],
      [PATCH.replaceAll('src/hw/a.ts', 'README.md'), /README\.md is no source/],
      [PATCH.replaceAll('src/hw/a.ts', 'src/../../a.ts'), /is no source/],
      ['Subject: nothing\n', /X01\.patch is no unified diff/],
      [PATCH.replace('@@ -1,2', '@@ -1,9'), /^X01\.patch: /],
    ];
    for (const [text, message] of wrong) {
      expect(() => patched(text)).toThrow(CorpusError);
      expect(() => patched(text)).toThrow(message);
    }
  });
});

describe('loadModel', () => {
  it('loadModel says that it needs a clone where there is no src or no bundler', async () => {
    await expect(loadModel(root, new Map())).rejects.toThrow(/there is no src in .* needs a clone/);
    file('src/questions/corpus/model.ts', '');
    file('package.json', '{}');
    await expect(loadModel(root, new Map())).rejects.toThrow(/npm ci done in it: .*esbuild/);
  });
});
