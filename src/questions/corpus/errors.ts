/** The corpus, or what it is built from, is not as it has to be; the message says what to do. */
export class CorpusError extends Error {
  override readonly name: string = 'CorpusError';
}
