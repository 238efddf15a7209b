/** The jobs of examples/ci: they are YAML of the form that each service reads, and can be run. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { wrongWith } from './rig/commands.js';

function example(name: string): unknown {
  return parse(
    readFileSync(fileURLToPath(new URL(`../examples/ci/${name}`, import.meta.url)), 'utf8'),
  );
}

interface GitHub {
  readonly on: readonly string[];
  readonly jobs: { readonly verify: { readonly steps: readonly { readonly run?: string }[] } };
}

interface GitLab {
  readonly vlbr: {
    readonly script: readonly string[];
    readonly artifacts: { readonly reports: Readonly<Record<string, string>> };
  };
}

const github = example('github.yml') as GitHub;
const gitlab = example('gitlab.yml') as GitLab;

describe('an example of a CI job', () => {
  it.each([
    ['GitHub', github.jobs.verify.steps.flatMap(({ run }) => run ?? [])],
    ['GitLab', gitlab.vlbr.script],
  ])('for %s installs, builds and calls vlbr with options that there are', (_, commands) => {
    expect(commands.slice(0, 2)).toEqual(['npm ci', 'npm run build']);
    expect(commands.length).toBe(3);
    expect(commands[2]).toMatch(/^node dist\/cli\.js verify /);
    expect(wrongWith(commands[2].replace('node dist/cli.js', 'vlbr'))).toBe('');
  });
  it('keeps the files that its command writes', () => {
    const { junit, codequality } = gitlab.vlbr.artifacts.reports;
    expect(gitlab.vlbr.script[2]).toContain(`--reporter junit=${junit}`);
    expect(gitlab.vlbr.script[2]).toContain(`--reporter gitlab=${codequality}`);
    expect(JSON.stringify(github.jobs)).toContain('"path":"vlbr.xml"');
    expect(github.on).toContain('pull_request');
  });
});
