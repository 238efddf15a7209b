/** Numbers, lines, tables and names: the parts of every report. */
import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import pc from 'picocolors';
import { describe, expect, it } from 'vitest';
import { MSR_KVM_PV_LBR_CTRL } from '../../src/guest/pv/kvm_para.js';
import { addressHigh, BRANCH_REL_CALL, HOST_VM } from '../../src/hw/branch.js';
import { CPU_MODELS } from '../../src/hw/cpu_models.js';
import { lbrMap } from '../../src/hw/lbr_map.js';
import * as msrs from '../../src/hw/msr_index.js';
import { coloursFor } from '../../src/console/colours.js';
import {
  debugctlText,
  msrName,
  msrSlot,
  nameMsrs,
  selectText,
  valueText,
} from '../../src/tell/msr_name.js';
import { branchText, NEUTRAL, slotRanges } from '../../src/tell/record_text.js';
import { splitTable, tableLines } from '../../src/console/table.js';
import { ascii, compact, grouped, plural, textWidth, WIDTH, wrap } from '../../src/console/text.js';
import { cpuModel } from '../rig/cpu.js';
import { inColumns } from '../rig/widths.js';

const skylake = cpuModel('skylake');

describe('grouped', () => {
  it('grouped always reads back as the same number', () => {
    fc.assert(
      fc.property(fc.nat(), (n) => {
        expect(Number(grouped(n).replaceAll(',', ''))).toBe(n);
        expect(grouped(n)).toMatch(/^\d{1,3}(,\d{3})*$/);
      }),
    );
  });
});

describe('compact', () => {
  it.each([
    [0, '0'],
    [999, '999'],
    [1000, '1.00k'],
    [1150, '1.15k'],
    [12_345, '12.3k'],
    [999_999, '999k'],
    [1_000_000, '1.00M'],
    [123_456_789, '123M'],
    [1_500_000_000, '1.50B'],
  ])('compact always prints %i as %s', (n, text) => {
    expect(compact(n)).toBe(text);
  });
  it('compact never takes more than five characters for a count', () => {
    fc.assert(fc.property(fc.nat({ max: 10 ** 15 - 1 }), (n) => compact(n).length < 6));
  });
});

describe('plural', () => {
  it('plural always agrees with its number', () => {
    expect([plural(1, 'run'), plural(2000, 'run')]).toEqual(['1 run', '2,000 runs']);
    expect(['MSR access', 'branch', 'schedule', 'session'].map((noun) => plural(2, noun))).toEqual([
      '2 MSR accesses',
      '2 branches',
      '2 schedules',
      '2 sessions',
    ]);
  });
});

describe('wrap', () => {
  const words = fc.array(fc.stringMatching(/^[a-z]{1,40}$/), { minLength: 1 });
  it('wrap never prints a line too wide, and never loses a word', () => {
    fc.assert(
      fc.property(words, (list) => {
        const lines = wrap(list.join(' '), '- ', '    ');
        expect(lines.filter((line) => line.length > WIDTH)).toEqual([]);
        expect(lines.map((line) => line.slice(line === lines[0] ? 2 : 4)).join(' ')).toBe(
          list.join(' '),
        );
      }),
    );
  });
  it('wrap never breaks a word, however long', () => {
    const token = 'x'.repeat(300);
    expect(wrap(`a ${token}`, '', '  ')).toEqual(['a', `  ${token}`]);
  });
});

describe('setTextWidth', () => {
  it('setTextWidth takes what is asked for, else what the terminal has, else 80', () => {
    const { columns } = process.stdout;
    try {
      const taken = [60, undefined, 3].map((asked) => inColumns(asked, textWidth));
      expect(taken).toEqual([60, columns || 80, 40]);
      process.stdout.columns = 133;
      expect(inColumns(undefined, textWidth)).toBe(133);
      process.stdout.columns = 0;
      expect(inColumns(undefined, textWidth)).toBe(80);
    } finally {
      process.stdout.columns = columns;
    }
  });
});

describe('ascii', () => {
  it('ascii always leaves plain quotes', () => {
    expect(ascii('the host\u2019s \u2018own\u2019')).toBe("the host's 'own'");
  });
});

describe('tableLines', () => {
  it('a table always aligns columns and leaves no space at the end', () => {
    const rows = [
      ['no-leak', 'holds'],
      ['x', 'FAILS'],
    ];
    expect(tableLines(['', 'never'], rows)).toEqual([
      '         never',
      'no-leak  holds',
      'x        FAILS',
    ]);
  });
  it('a table never counts colour codes in the width of a cell', () => {
    const plain = tableLines(['a', 'b'], [['x', 'y']]);
    const { red } = pc.createColors(true);
    const coloured = tableLines(['a', 'b'], [[red('x'), 'y']]);
    expect(coloured.map(stripVTControlCharacters)).toEqual(plain);
  });
  it('a table that is too wide has its widest column wrapped, and no word broken', () => {
    const rows = [
      ['a', 'word '.repeat(60).trim(), 'some more words'],
      ['a-long-name', 'short', ''],
    ];
    const lines = tableLines(['name', 'text', 'more'], rows);
    expect(lines.length).toBeGreaterThan(3);
    expect(lines.filter((line) => line.length > WIDTH)).toEqual([]);
    expect(lines.some((line) => line.length === WIDTH)).toBe(true);
    expect(lines[1]).toMatch(/^a {12}word .* {2}some more words$/);
    const narrow = inColumns(40, () =>
      tableLines(['name', 'text', 'more'], rows, { indent: '  ' }),
    );
    expect(narrow.filter((line) => line.length > 40)).toEqual([]);
    expect(narrow.every((line) => line.startsWith('  '))).toBe(true);
    const words = narrow.join(' ').split(/ +/);
    expect(words.filter((word) => word === 'word')).toHaveLength(60);
    for (const word of ['a-long-name', 'short', 'some', 'more', 'words']) {
      expect(words).toContain(word);
    }
    const token = 'x'.repeat(300);
    expect(tableLines(['', ''], [['a b', token]])).toContain(`a  ${token}`);
  });
  it('numbers are aligned to the right, also where a head is wrapped', () => {
    const [head, ...rows] = [
      ['', 'a head'.repeat(9)],
      ['x', '7'],
      ['y', '1234567'],
    ];
    const lines = inColumns(40, () => tableLines(head, rows, { numeric: true }));
    const width = Math.max(...lines.map((line) => line.length));
    expect(lines.slice(-2).map((line) => line.length)).toEqual([width, width]);
    expect(width).toBeLessThanOrEqual(40);
  });
});

describe('splitTable', () => {
  it('splitTable shows every column, within the width, and the first in each part', () => {
    const policies = Array.from({ length: 20 }, (_, i) => `policy-number-${i}`);
    const lines = splitTable(['', ...policies], [['no-leak/vm', ...policies.map(() => 'holds')]]);
    expect(lines.filter((line) => line.length > WIDTH)).toEqual([]);
    for (const policy of policies) expect(lines.join('\n')).toContain(policy);
    const rows = lines.filter((line) => line.startsWith('no-leak/vm'));
    expect(rows.join(' ').match(/holds/g)?.length).toBe(policies.length);
    expect(rows.length).toBe(lines.filter((line) => line === '').length + 1);
  });
});

describe('msrName', () => {
  it.each(CPU_MODELS)('msrName names each LBR MSR of $name, and none twice', (model) => {
    const known = Array.from({ length: 0x1000 }, (_, msr) => msr).filter(
      (msr) => lbrMap(model).kind(msr) !== 0,
    );
    const names = known.map((msr) => msrName(model, msr));
    expect(names.length).toBe(lbrMap(model).count);
    expect(new Set(names).size).toBe(names.length);
    for (const [i, msr] of known.entries()) {
      const slot = msrSlot(model, msr);
      expect(names[i]).toMatch(slot < 0 ? /^LBR_(TOS|SELECT)$/ : new RegExp(`^[A-Z]+_${slot}$`));
    }
  });
  it('msrName always falls back to the index', () => {
    expect(msrName(skylake, 0x10)).toBe('0x10');
    expect(msrName(skylake, msrs.MSR_IA32_DEBUGCTLMSR)).toBe('DEBUGCTL');
    expect(msrName(skylake, MSR_KVM_PV_LBR_CTRL)).toBe('PV_LBR_CTRL');
  });
});

describe('nameMsrs', () => {
  it('nameMsrs puts names for indices, and shortens what fits in a word', () => {
    const from = (msrs.MSR_LBR_NHM_FROM + 3).toString(16);
    const text = `v1: RDMSR 0x${from} returned 0x0000000000000001, instead of 0x0000090000000003`;
    expect(nameMsrs(skylake, text)).toBe('v1: RDMSR FROM_3 returned 0x1, instead of 0x90000000003');
    expect(nameMsrs(skylake, `WRMSR ${from} should fault`)).toBe('WRMSR FROM_3 should fault');
  });
});

describe('values of registers', () => {
  it('valueText and its like always print register values in words', () => {
    const on = msrs.DEBUGCTLMSR_LBR | msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI;
    expect(debugctlText(on)).toBe('LBR|FREEZE_LBRS');
    expect(debugctlText(0)).toBe('0 (LBR off)');
    expect(debugctlText(1 << 20)).toBe('0x100000 (LBR off)');
    expect(selectText(0)).toBe('0 (all)');
    expect(selectText(msrs.LBR_KERNEL | msrs.LBR_FAR)).toBe('0x101 (no kernel far)');
    expect(selectText(msrs.LBR_KERNEL | msrs.LBR_CALL_STACK)).toBe('0x201 (call stack)');
    expect(valueText(MSR_KVM_PV_LBR_CTRL, 1, 0)).toBe('ACTIVE');
    expect(valueText(msrs.MSR_LBR_TOS, 7, 0)).toBe('7');
    expect(valueText(0x10, -1, 2)).toBe('0x2ffffffff');
  });
});

describe('branchText', () => {
  const hi = (vm: number, task: number): number => addressHigh(false, BRANCH_REL_CALL, vm, 0, task);
  it('branchText says whose branch it is, and marks what is not the viewer’s', () => {
    expect(branchText(5, hi(1, 2), { vm: 1, task: -1 })).toBe('task 2 call#5');
    expect(branchText(5, hi(1, 2), { vm: 1, task: 3 })).toBe('task 2 call#5 <- foreign');
    expect(branchText(5, hi(1, 2), { vm: 0, task: -1 })).toBe('VM 1 task 2 call#5 <- foreign');
    expect(branchText(5, hi(HOST_VM, 2), { vm: 0, task: -1 })).toMatch(/^host .*<- foreign$/);
    expect(branchText(5, hi(1, 2), NEUTRAL)).toBe('VM 1 task 2 call#5');
    expect(branchText(0, 0, NEUTRAL)).toBe('empty');
  });
});

describe('slotRanges', () => {
  it('slotRanges always keeps the order', () => {
    expect(slotRanges([2, 1, 0, 31, 30])).toBe('2..0 31..30');
    expect(slotRanges([0, 1, 2, 3, 7])).toBe('0..3 7');
    expect(slotRanges([4])).toBe('4');
    expect(slotRanges([])).toBe('');
  });
});

describe('coloursFor', () => {
  it('coloursFor never gives colours to a pipe', () => {
    expect(coloursFor(false).red('x')).toBe('x');
    expect(coloursFor(undefined).red('x')).toBe('x');
  });
});
