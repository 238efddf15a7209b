/** `vlbr replay`, called in this process. */
import { vi } from 'vitest';
import { replayCommand } from '../../src/questions/replay/command.js';

/** What the command prints, and its exit code. The caller restores its mocks after each test. */
export async function replayed(
  ...args: readonly string[]
): Promise<{ code: number; stdout: string }> {
  let code = -1;
  let stdout = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  const command = replayCommand((ended) => {
    code = ended;
  });
  await command
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .parseAsync(args, { from: 'user' });
  return { code, stdout };
}
