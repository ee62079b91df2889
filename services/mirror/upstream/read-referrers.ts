import type { Descriptor } from '../../../shared/oci/descriptor.ts';
import { type Digest, digestAlgorithm, digestHex } from '../../../shared/oci/digest.ts';
import { RegistryError } from '../../../shared/oci/errors.ts';
import { parseManifest } from '../../../shared/oci/manifest.ts';
import { MANIFEST_MAX_BYTES } from '../../../shared/oci/media-types.ts';
import { isHtml } from './answer.ts';
import { type ExchangeResponse, readBody } from './http-exchange.ts';
import { nextPageQuery } from './next-page.ts';
import { type Failure, found, type Outcome, unavailable } from './outcome.ts';

/** What is read of one list at most. */
const MAX_PAGES = 50;
const MAX_BYTES = 16 * 1024 * 1024;
/** Answers of registries that do not know the API (distribution, older Harbor, GitHub) or not for this. */
const NO_API: ReadonlySet<number> = new Set([400, 404, 405, 406, 415, 501]);

/** What an upstream says refers to a subject. */
export interface UpstreamReferrers {
  readonly descriptors: readonly Descriptor[];
  /** False when there was more than is read. */
  readonly isComplete: boolean;
  /** What the list was as JSON. */
  readonly bytes: number;
}

export interface ReferrersReading {
  /** Asks for a path below `/v2/<repository>/`. */
  readonly ask: (path: string) => Promise<Outcome<ExchangeResponse>>;
  /** What an answer of another status than 200 means. */
  readonly failure: (response: ExchangeResponse) => Promise<Failure>;
}

/**
 * The referrers of a subject by the API (spec.md#listing-referrers), or where the upstream has none, as listed under
 * the subject's fallback tag (spec.md#referrers-tag-schema). No list at all is an empty one.
 */
export async function readReferrers(
  subject: Digest,
  reading: ReferrersReading,
): Promise<Outcome<UpstreamReferrers>> {
  const descriptors: Descriptor[] = [];
  let bytes = 0;
  let path = `referrers/${subject}`;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const list = await readList(path, reading);
    if (list.kind === 'absent') return page === 0 ? readFallback(subject, reading) : GARBAGE;
    if (list.kind !== 'list') return list;
    bytes += list.bytes;
    if (bytes > MAX_BYTES) return found({ descriptors, isComplete: false, bytes });
    descriptors.push(...list.descriptors);
    if (list.next === undefined) return found({ descriptors, isComplete: true, bytes });
    path = `referrers/${subject}?${list.next}`;
  }
  return found({ descriptors, isComplete: false, bytes });
}

/** At most 128 characters of algorithm and hash, cut as the spec says. */
async function readFallback(
  subject: Digest,
  reading: ReferrersReading,
): Promise<Outcome<UpstreamReferrers>> {
  const tag = `${digestAlgorithm(subject).slice(0, 32)}-${digestHex(subject).slice(0, 64)}`;
  const list = await readList(`manifests/${tag}`, reading);
  if (list.kind === 'absent') return found({ descriptors: [], isComplete: true, bytes: 0 });
  if (list.kind !== 'list') return list;
  return found({ descriptors: list.descriptors, isComplete: true, bytes: list.bytes });
}

type List =
  | {
      readonly kind: 'list';
      readonly descriptors: readonly Descriptor[];
      readonly bytes: number;
      readonly next: string | undefined;
    }
  | { readonly kind: 'absent' };

const ABSENT = { kind: 'absent' } as const;
const GARBAGE = unavailable('garbage', 'the upstream gave a list of referrers that cannot be read');

async function readList(path: string, { ask, failure }: ReferrersReading): Promise<List | Failure> {
  const answer = await ask(path);
  if (answer.kind !== 'found') return answer;
  const { value: response } = answer;
  // A web page is what some answer to whatever they do not know.
  if (NO_API.has(response.status) || isHtml(response)) {
    response.discard();
    return ABSENT;
  }
  if (response.status !== 200) return failure(response);
  const body = await readBody(response.body, MANIFEST_MAX_BYTES, response.url);
  if (!body) return GARBAGE;
  try {
    const { kind, manifests } = parseManifest(body, undefined);
    if (kind !== 'index') return GARBAGE;
    const next = nextPageQuery(response);
    return { kind: 'list', descriptors: manifests, bytes: body.length, next };
  } catch (error) {
    if (error instanceof RegistryError) return GARBAGE;
    throw error;
  }
}
