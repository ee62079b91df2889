/** Bytes on their way in, gone when closed. */
export interface SpoolFile {
  /** How many of the last bytes it holds; undefined: all. */
  readonly windowBytes?: number;
  /** Where all of its bytes are, for whoever takes them over as a file. */
  readonly path?: string;
  /** Appends; resolves when the bytes can be read. */
  append(chunks: readonly Buffer[]): Promise<void>;
  /** Fills as much of the buffer as it can from `position`; the number of bytes read. */
  read(buffer: Buffer, position: number, length: number): Promise<number>;
  /** Gives its room back to the spool. Idempotent. */
  close(): Promise<void>;
}
