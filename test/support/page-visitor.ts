/** Somebody before a browser: keeps cookies of one site and sends what a browser's own pages send. */
export interface PageVisitor {
  get(path: string): Promise<VisitedPage>;
  /** The form of a page of ours. */
  submit(path: string, fields: Readonly<Record<string, string>>): Promise<VisitedPage>;
  /** As a script of our pages does it. */
  call(method: string, path: string, body: unknown): Promise<VisitedPage>;
}

interface VisitedPage {
  readonly status: number;
  /** Where it leads. */
  readonly location: string | undefined;
  readonly text: string;
}

/** A new browser, which is signed in nowhere. Follows no redirects by itself. */
export function startPageVisitor(origin: string): PageVisitor {
  const cookies = new Map<string, string>();
  const send = async (path: string, init: RequestInit): Promise<VisitedPage> => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(new URL(path, origin), {
      ...init,
      headers: {
        ...(init.headers as Record<string, string>),
        cookie,
        'sec-fetch-site': 'same-origin',
      },
      redirect: 'manual',
    });
    for (const line of response.headers.getSetCookie()) {
      const [pair = ''] = line.split(';', 1);
      const at = pair.indexOf('=');
      if (/; Max-Age=0(?:;|$)/.test(line)) cookies.delete(pair.slice(0, at));
      else cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
    const { status, headers } = response;
    return { status, location: headers.get('location') ?? undefined, text: await response.text() };
  };
  const formToken = async (): Promise<string> => {
    const { text } = await send('/api/v1/session', {});
    return (JSON.parse(text) as { formToken?: string }).formToken ?? '';
  };
  return {
    get: (path) => send(path, {}),
    submit: async (path, fields) =>
      send(path, {
        method: 'POST',
        headers: { origin, 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ ...fields, formToken: await formToken() }).toString(),
      }),
    call: async (method, path, body) =>
      send(path, {
        method,
        headers: {
          origin,
          'content-type': 'application/json',
          'x-twinport-form': await formToken(),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }),
  };
}
