/** `vlbr conform`, run in this process. */
import { vi } from 'vitest';
import { conformCommand } from '../../src/questions/conform/command.js';

/** What a run ended with, and what it printed. */
export interface Conformed {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the command. @throws what it throws. */
export async function conformed(...words: readonly string[]): Promise<Conformed> {
  let [code, out, err] = [-1, '', ''];
  const stdout = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text);
    return true;
  });
  const stderr = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    err += String(text);
    return true;
  });
  const command = conformCommand((result) => {
    code = result;
  });
  try {
    await command.exitOverride().parseAsync(words, { from: 'user' });
  } finally {
    stdout.mockRestore();
    stderr.mockRestore();
  }
  return { code, out, err };
}
