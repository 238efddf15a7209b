import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { keptSchedules } from '../../src/tell/kept_schedules.js';

describe('keptSchedules', () => {
  const kept = keptSchedules();

  it('the kept schedules are all that the tests have, by their numbers', () => {
    const names = readdirSync(new URL('../golden/', import.meta.url)).filter((name) =>
      /^\d{3}-.*\.json$/.test(name),
    );
    expect(kept.map(({ number, title }) => `${number}-${title}.json`)).toEqual(names.sort());
  });

  it('a kept schedule has what it says, its hazard and what is to be replayed', () => {
    const [first, second] = kept;
    expect(first).toMatchObject({ number: '001', hazard: 'H12' });
    expect(first.says).toContain('v1 uses LBR, stops');
    expect(first.replay).toMatchObject({ property: 'no-leak/vm', whose: 'policy' });
    expect(first.replay.config.policy.name).toBe('merged');
    expect(second.hazard).toBeNull();
  });
});
