import { type Case, metered } from './case.ts';

/** A registry that needs longer for the whole list than this has not answered. */
const PATIENCE_MS = 60_000;

interface CatalogPage {
  readonly repositories?: readonly string[] | null;
}

/** The whole catalog, page by page as the registry links them. */
export const CATALOG_CASE: Case = {
  id: 'catalog',
  title: 'catalog of all repositories',
  unit: 's',
  isQuick: false,
  run: async (subject, { seed }) => {
    const sample = await metered(subject, async () => {
      const startedAt = performance.now();
      const names = await readCatalog(subject.url);
      const missing = seed.repositories.filter((name) => !names.has(name)).length;
      if (missing > 0) throw new Error(`the catalog of ${subject.name} lacks ${missing} names`);
      return { units: 1, seconds: (performance.now() - startedAt) / 1000 };
    });
    return { ...sample, rate: 1 / sample.rate };
  },
};

async function readCatalog(url: string): Promise<Set<string>> {
  const names = new Set<string>();
  const signal = AbortSignal.timeout(PATIENCE_MS);
  let next: string | undefined = `${url}/v2/_catalog?n=1000`;
  while (next !== undefined) {
    const answer = await fetch(next, { signal });
    if (answer.status !== 200) throw new Error(`${next} answered ${answer.status}`);
    const page = (await answer.json()) as CatalogPage;
    for (const name of page.repositories ?? []) names.add(name);
    const link: string | undefined = /<([^>]+)>/.exec(answer.headers.get('link') ?? '')?.[1];
    next = link === undefined ? undefined : new URL(link, url).href;
  }
  return names;
}
