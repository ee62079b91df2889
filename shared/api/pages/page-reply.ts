import { type HeaderFields, HEADERS } from '../../http/headers.ts';
import type { RegistryError } from '../../oci/errors.ts';
import type { EndpointReply } from '../endpoint.ts';
import { type Html, html } from './html.ts';

/** No script, nothing of others, in nobody's frame. */
export const PAGE_HEADERS: HeaderFields = {
  [HEADERS.cacheControl]: 'no-store',
  'Content-Security-Policy':
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'same-origin',
  'X-Frame-Options': 'DENY',
};

/** A whole page around its content. */
export function pageReply(title: string, content: Html, status = 200): EndpointReply {
  const { markup } = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} - Twinport</title>
        <link rel="stylesheet" href="/auth/page.css" />
      </head>
      <body>
        <main>
          <h1>${title}</h1>
          ${content}
        </main>
      </body>
    </html> `;
  return {
    status,
    headers: { ...PAGE_HEADERS, [HEADERS.contentType]: 'text/html; charset=utf-8' },
    text: markup,
  };
}

/** Told at once to those who listen to the page. */
export const problemText = (message: string): Html =>
  html`<p role="alert">That did not succeed: ${message}.</p>`;

/** What a person is shown in place of an error that programs read. */
export const problemPage = ({ status, message }: RegistryError): EndpointReply =>
  pageReply(
    status === 401 ? 'You are signed out' : 'That did not succeed',
    html`${status === 401 ? [] : problemText(message)}
      <p><a class="button" href="/auth/">${status === 401 ? 'Sign in' : 'Back'}</a></p>`,
    status,
  );

/** To another page of ours, to be asked for by GET. */
export const sendTo = (location: string, cookies: readonly string[]): EndpointReply => ({
  status: 303,
  headers: {
    ...PAGE_HEADERS,
    Location: location,
    ...(cookies.length > 0 && { 'Set-Cookie': cookies }),
  },
  text: '',
});

export const PAGE_STYLE = `:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0; padding: 2rem 1rem; }
main { max-width: 44rem; margin: 0 auto; }
h1 { font-size: 1.5rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { text-align: left; padding: 0.4rem 0.6rem; border-bottom: 1px solid #8884; overflow-wrap: anywhere; }
form { margin: 1rem 0; }
td form { margin: 0; }
label { display: block; margin: 0.6rem 0; }
input { display: block; font: inherit; padding: 0.35rem; width: 100%; max-width: 24rem; box-sizing: border-box; }
button, a.button { font: inherit; padding: 0.35rem 0.8rem; }
a.button { display: inline-block; border: 1px solid; border-radius: 0.2rem; text-decoration: none; }
[role='alert'] { border-left: 0.25rem solid #c33; padding-left: 0.6rem; }
code { overflow-wrap: anywhere; font-size: 1.05rem; user-select: all; }
`;
