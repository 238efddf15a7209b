/** The built command line in a process of its own, which may be killed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface VlbrProcess {
  /** Ends it, by default as no program can notice. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** How it has ended: its exit code, null for a signal, and what it said. */
  readonly ended: Promise<VlbrEnd>;
}

export interface VlbrEnd {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** @param env - is put over the environment of this process. */
export function startVlbr(
  cli: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): VlbrProcess {
  const child = spawn(process.execPath, [cli, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => (said[name] += text));
  }
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, ...said }));
  return {
    ended,
    kill: async (signal = 'SIGKILL') => {
      child.kill(signal);
      await ended;
    },
  };
}
