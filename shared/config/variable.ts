import type { z } from 'zod';

/** Who reads it: both roles, one of them, or `npm start` while it runs both. */
export type Reader = 'both' | 'push' | 'mirror' | 'npm start';

export interface Variable {
  readonly reader: Reader;
  /** Markdown, for the table in the documentation. */
  readonly description: string;
  readonly schema: z.ZodType<unknown, string>;
  /** The default as one would set it, read by the same schema. */
  readonly fallback?: string;
  /** What the documentation says about the default where it depends on something. */
  readonly fallbackNote?: string;
  /** May also come as NAME_FILE, and appears in no log. */
  readonly isSecret?: true;
}
