/** Prints the register (eax, edx) as sixteen hexadecimal digits. */
export function hex64(eax: number, edx: number): string {
  const digits = (word: number): string => (word >>> 0).toString(16).padStart(8, '0');
  return `0x${digits(edx)}${digits(eax)}`;
}

/** Prints a number as unsigned hexadecimal without padding. */
export function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}
