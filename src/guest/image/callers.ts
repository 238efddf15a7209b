/** The C functions of an image that are under way, by the names that the module keeps. */

/** Frames that are looked through: the kernel's calls are no deeper than half of that. */
const FRAMES_MAX = 100;

/**
 * The functions that have led to the import which runs, the innermost first. Those of another
 * kernel that waits for this one are not among them. A function that the compiler has put into its
 * caller is its caller.
 */
export function callers(): string[] {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = FRAMES_MAX;
  const { stack = '' } = new Error();
  Error.stackTraceLimit = stackTraceLimit;
  return functionsIn(stack);
}

/** The functions of C in a stack of JavaScript, down to the call from JavaScript. */
function functionsIn(stack: string): string[] {
  const frames = stack.split('\n').filter((line) => line.startsWith('    at '));
  const first = frames.findIndex(isC);
  const rest = first < 0 ? [] : frames.slice(first);
  const end = rest.findIndex((frame) => !isC(frame));
  return (end < 0 ? rest : rest.slice(0, end)).flatMap((frame) => {
    const name = /^ +at (\w+)(?:\.\d+)? \(/.exec(frame)?.[1];
    return name === undefined ? [] : [name];
  });
}

function isC(frame: string): boolean {
  return frame.includes('wasm:');
}
