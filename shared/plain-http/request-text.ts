/** What is needed of the SDK's signed request as far as its head goes. */
export interface RequestHead {
  readonly method: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>> | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

const TARGET = /^\/[\x21-\x7e]*$/;
const NAME = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * The request as it goes over the wire. Throws rather than write what would be read as something else: a line break in
 * a name or a value.
 */
export function requestText({ method, path, query = {}, headers }: RequestHead): string {
  const search = searchOf(query);
  const target = search === '' ? path : `${path}?${search}`;
  if (!TARGET.test(target)) throw new TypeError('the target of a request has odd characters');
  const lines = [`${method} ${target} HTTP/1.1`];
  for (const [name, value] of Object.entries(headers)) {
    if (!NAME.test(name) || !VALUE.test(value)) {
      throw new TypeError(`the header ${JSON.stringify(name)} has odd characters`);
    }
    lines.push(`${name}: ${value}`);
  }
  return `${lines.join('\r\n')}\r\nConnection: keep-alive\r\n\r\n`;
}

function searchOf(query: NonNullable<RequestHead['query']>): string {
  const parts: string[] = [];
  for (const key of Object.keys(query).toSorted()) {
    const value = query[key];
    const name = escapeName(key);
    if (typeof value === 'string') parts.push(`${name}=${escapeName(value)}`);
    else if (value) parts.push(...value.map((one) => `${name}=${escapeName(one)}`));
    else parts.push(name);
  }
  return parts.join('&');
}

/** Everything but the unreserved characters escaped, as signatures have it. */
export const escapeName = (text: string): string =>
  encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
