/** What the head of an answer says about its body. */
export interface PlainHead {
  readonly status: number;
  readonly reason: string;
  /** Names in lower case; several lines of one name are joined by commas. */
  readonly headers: Record<string, string>;
  /** Bytes of the body that follows. */
  readonly length: number;
  /** Whether the connection may serve another request afterwards. */
  readonly isReusable: boolean;
}

/** What was asked: it decides whether an answer has a body. */
export type PlainMethod = 'GET' | 'HEAD' | 'PUT' | 'DELETE';

const STATUS_LINE = /^HTTP\/1\.1 ([2-5]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/;
const FIELD_LINE = /^([!#$%&'*+\-.^_`|~\dA-Za-z]+):[\t ]*([\t\x20-\x7e\x80-\xff]*)$/;
/** Nothing larger is an object; and it is an exact number. */
const LENGTH = /^\d{1,15}$/;
const BODYLESS = new Set([204, 304]);
const MAX_HEAD_BYTES = 16 * 1024;
const HEAD_END = '\r\n\r\n';

/** The beginning of an answer. */
interface Begun {
  /** Undefined when it is not plain, or longer than 16 KiB: Node's parser, which knows all of HTTP, has to decide. */
  readonly head: PlainHead | undefined;
  /** What came behind the head. */
  readonly rest: Buffer;
}

/** What has come of an answer, once there is a whole head or more than a head may have; undefined before. */
export function readHead(received: Buffer, method: PlainMethod = 'GET'): Begun | undefined {
  const end = received.indexOf(HEAD_END);
  if (end < 0 && received.length < MAX_HEAD_BYTES) return undefined;
  const isWhole = end >= 0 && end < MAX_HEAD_BYTES;
  const head = isWhole ? parsePlainHead(received.toString('latin1', 0, end), method) : undefined;
  return { head, rest: received.subarray(end + HEAD_END.length) };
}

/**
 * Reads the head of an answer (RFC 9112, 4 and 5; to a GET, unless told otherwise), without the empty line after it. Undefined for everything
 * that is not plain: an interim answer, a body that is not framed by one length alone, and whatever is not exactly as
 * the grammar has it. Those are for a parser that knows all of HTTP.
 */
export function parsePlainHead(text: string, method: PlainMethod = 'GET'): PlainHead | undefined {
  const [first = '', ...lines] = text.split('\r\n');
  const [, digits, reason = ''] = STATUS_LINE.exec(first) ?? [];
  const status = Number(digits);
  if (digits === undefined) return undefined;
  const headers = readFields(lines);
  if (!headers || 'upgrade' in headers) return undefined;
  const length = bodyLength(status, headers, method);
  if (length === undefined) return undefined;
  const connection = headers['connection']?.toLowerCase();
  const isReusable = connection === undefined || connection.trim() === 'keep-alive';
  return { status, reason, headers, length, isReusable };
}

/** Undefined when the answer is not framed in a plain way. */
function bodyLength(
  status: number,
  headers: Readonly<Record<string, string>>,
  method: PlainMethod,
): number | undefined {
  // Whatever the head says: these have none (RFC 9112, 6.3).
  if (method === 'HEAD' && !BODYLESS.has(status)) return 0;
  if ('transfer-encoding' in headers) return undefined;
  const length = headers['content-length'];
  if (BODYLESS.has(status)) {
    const isEmpty = length === undefined || length === '0';
    return status === 204 && method === 'DELETE' && isEmpty ? 0 : undefined;
  }
  return length !== undefined && LENGTH.test(length) ? Number(length) : undefined;
}

function readFields(lines: readonly string[]): Record<string, string> | undefined {
  // No field can be mistaken for what every object has.
  const headers = Object.create(null) as Record<string, string>;
  for (const line of lines) {
    const [, name = '', value] = FIELD_LINE.exec(line) ?? [];
    if (value === undefined) return undefined;
    const key = name.toLowerCase();
    const before = headers[key];
    headers[key] = before === undefined ? value.trimEnd() : `${before}, ${value.trimEnd()}`;
  }
  return headers;
}
