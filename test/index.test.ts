/** The exports of the library, compared with the comment in its file. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as library from '../src/index.js';

const TEXT = readFileSync(new URL('../src/index.ts', import.meta.url), 'utf8');

/** The comment at the top of src/index.ts lists what is exported, then what is not. */
const [HERE, NOT_HERE] = TEXT.slice(0, TEXT.indexOf('*/'))
  .replaceAll(/\s+\*?\s*/g, ' ')
  .split('Not here:');

describe('the library', () => {
  it.each([
    ['vlbr verify', 'runCampaign'],
    ['vlbr replay', 'timeline'],
    ['vlbr review', 'reviewPolicy'],
    ['vlbr explore', 'explore'],
    ['vlbr kernel build', 'buildKernel'],
    ['vlbr list', 'POLICIES'],
  ])('the library has the work of %s, as its comment says', (command, name) => {
    expect(HERE).toContain(`\`${command}\``);
    expect(library).toHaveProperty(name);
  });

  it.each([
    ['vlbr conform', 'Conformance'],
    ['vlbr corpus', 'hunt'],
    ['shorter schedules', 'shorten'],
    ['reports', 'verifyText'],
  ])('the library lacks %s, as its comment says', (what, name) => {
    expect(NOT_HERE).toContain(what);
    expect(HERE).not.toContain(what);
    expect(library).not.toHaveProperty(name);
  });

  it('the library never claims to do everything that the command line does', () => {
    expect(TEXT).not.toMatch(/everything that the\s+\*? ?command line does/);
  });
});
