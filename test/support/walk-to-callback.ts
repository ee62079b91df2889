/** What a person fills into a form of a page and sends. */
interface FilledForm {
  readonly action: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** Answers the form to send; throws when there is nothing to do on the page. */
export type FillIn = (page: string) => FilledForm;

const MOST_STEPS = 10;

/** Follows a provider's pages as a new browser does, and fills in what they ask for, until it is sent to the callback. */
export async function walkToCallback(
  from: string,
  callbackUrl: string,
  fillIn?: FillIn,
): Promise<URL> {
  const cookies = new Map<string, string>();
  let [url, form]: [string, FilledForm | undefined] = [from, undefined];
  for (let step = 0; step < MOST_STEPS; step += 1) {
    if (url.startsWith(callbackUrl)) return new URL(url);
    const response = await send(url, form, cookies);
    const [location, page] = [response.headers.get('location'), await response.text()];
    if (location !== null) [url, form] = [new URL(location, url).href, undefined];
    else if (fillIn === undefined) throw new Error(`${url}: ${response.status} ${page}`);
    else {
      form = fillIn(page);
      url = new URL(form.action, url).href;
    }
  }
  throw new Error('the provider leads nowhere');
}

async function send(
  url: string,
  form: FilledForm | undefined,
  cookies: Map<string, string>,
): Promise<Response> {
  const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  const response = await fetch(url, {
    headers: { cookie },
    redirect: 'manual',
    ...(form !== undefined && { method: 'POST', body: new URLSearchParams(form.fields) }),
  });
  for (const line of response.headers.getSetCookie()) {
    const [pair = ''] = line.split(';', 1);
    cookies.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1));
  }
  return response;
}
