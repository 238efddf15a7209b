/** Pictures that are written: each to its place, and the same on every terminal. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { textWidth, WIDTH } from '../../../src/console/text.js';
import { writePictures } from '../../../src/tell/picture/write.js';
import { inColumns } from '../../rig/widths.js';

const folder = mkdtempSync(join(tmpdir(), 'vlbr-write-'));

afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

describe('writePictures', () => {
  it('each picture goes to its path or to standard output, with text for a phone', async () => {
    let printed = '';
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      printed += String(text);
      return true;
    });
    const svg = join(folder, 'x.svg');
    const drawn: string[] = [];
    const options = { html: '-', svg };
    await writePictures(options, (kind) => {
      drawn.push(`${kind} ${textWidth()}`);
      return Promise.resolve(`the ${kind}`);
    });
    expect(drawn.toSorted()).toEqual(['html 48', 'svg 48']);
    expect(printed).toBe('the html');
    expect(readFileSync(svg, 'utf8')).toBe('the svg');
    inColumns(WIDTH, () => {});
  });

  it('without a picture nothing is drawn, and the text stays as it is', async () => {
    const draw = vi.fn<() => Promise<string>>();
    await writePictures({}, draw);
    expect([draw.mock.calls.length, textWidth()]).toEqual([0, WIDTH]);
  });
});
