import { randomBytes } from 'node:crypto';

/** Secrets that are recognised wherever they come out, also in the forms in which they travel. */
export class Canaries {
  /** What must not be found, and whose secret it is. */
  readonly #needles = new Map<string, string>();

  /** A secret that nothing else looks like. */
  make(what: string): string {
    return this.note(what, `canary-${randomBytes(12).toString('hex')}`);
  }

  /** A secret that somebody else has made. */
  note(what: string, secret: string): string {
    this.#needles.set(secret, what);
    this.#needles.set(encodeURIComponent(secret), what);
    for (const encoding of ['base64', 'base64url', 'hex'] as const) {
      this.#needles.set(Buffer.from(secret).toString(encoding), `${what} in ${encoding}`);
    }
    return secret;
  }

  /** Credentials as they stand in a header; noted as such, too. */
  basic(username: string, password: string): string {
    const pair = Buffer.from(`${username}:${password}`).toString('base64');
    this.#needles.set(pair, `the header of ${username}`);
    return `Basic ${pair}`;
  }

  bearer(what: string, token: string): string {
    // Whoever has the last part of a token can put the others before it.
    this.note(what, token.split('.').at(-1) ?? token);
    return `Bearer ${token}`;
  }

  /** Whose secrets stand in the text. */
  in(place: string, text: string | Buffer): readonly string[] {
    const bytes = typeof text === 'string' ? Buffer.from(text) : text;
    return [...this.#needles]
      .filter(([needle]) => needle !== '' && bytes.includes(needle))
      .map(([needle, what]) => `${what} in ${place}: ${excerpt(bytes, needle)}`);
  }
}

function excerpt(bytes: Buffer, needle: string): string {
  const at = bytes.indexOf(needle);
  return JSON.stringify(bytes.toString('utf8', Math.max(0, at - 120), at + needle.length + 40));
}
