/**
 * Rows of words, numbered from 0, in chunks. A store that grew by doubling would hold every row
 * twice while it grows; here the rows that exist never move.
 */

/** Words of a chunk, about; a chunk holds one row at least. */
const CHUNK_WORDS = 1 << 17;
/** From here on a call of the engine's block copy is cheaper than a loop. */
const BLOCK_COPY_WORDS = 32;
const GONE: Int32Array = new Int32Array(0);

export function copyWords(from: Int32Array, to: Int32Array): void {
  const words = from.length;
  if (words >= BLOCK_COPY_WORDS) to.set(from);
  else for (let k = 0; k < words; k++) to[k] = from[k];
}

/** A growing list of rows of the same number of words. */
export class RowChunks {
  readonly words: number;
  /** A row's number, shifted right by this, is its chunk's. */
  readonly shift: number;
  readonly chunks: Int32Array[] = [];
  private readonly chunkBytes: number;
  /** Chunks below this one were dropped. */
  private dropped = 0;

  constructor(words: number) {
    this.words = words;
    let shift = 0;
    while (words << (shift + 1) <= CHUNK_WORDS) shift++;
    this.shift = shift;
    this.chunkBytes = (words * 4) << shift;
  }

  /** Rows there are chunks for. */
  get room(): number {
    return this.chunks.length << this.shift;
  }

  /** Bytes that `count` rows take, if none is dropped until then. */
  bytesFor(count: number): number {
    const chunks = Math.ceil(count / 2 ** this.shift);
    return (Math.max(chunks, this.chunks.length) - this.dropped) * this.chunkBytes;
  }

  grow(): void {
    this.chunks.push(new Int32Array(this.words << this.shift));
  }

  /** Where a row starts in its chunk. */
  offset(index: number): number {
    return (index & ((1 << this.shift) - 1)) * this.words;
  }

  write(index: number, row: Int32Array): void {
    const chunk = this.chunks[index >> this.shift];
    const at = this.offset(index);
    const { words } = this;
    if (words >= BLOCK_COPY_WORDS) chunk.set(row, at);
    else for (let k = 0; k < words; k++) chunk[at + k] = row[k];
  }

  read(index: number, into: Int32Array): void {
    const chunk = this.chunks[index >> this.shift];
    const at = this.offset(index);
    const { words } = this;
    for (let k = 0; k < words; k++) into[k] = chunk[at + k];
  }

  /** Drops the chunks that hold nothing but rows below this one. */
  drop(below: number): void {
    while (this.dropped < below >> this.shift) this.chunks[this.dropped++] = GONE;
  }
}
