/** The host to put into a URL for an address that is listened on: `localhost` for every one that includes it. */
export function clientHost(listenHost: string): string {
  if (['0.0.0.0', '::', '127.0.0.1', '::1', 'localhost'].includes(listenHost)) return 'localhost';
  return listenHost.includes(':') ? `[${listenHost}]` : listenHost;
}
