/** Prints the register (eax, edx) as sixteen hexadecimal digits. */
export function hex64(eax: number, edx: number): string {
  return `0x${eightDigits(edx)}${eightDigits(eax)}`;
}

function eightDigits(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}

/** Prints a number as unsigned hexadecimal without padding. */
export function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}
