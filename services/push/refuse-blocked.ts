import type { BlockList } from '../../shared/content/blocks/block-list.ts';
import { parseDigest } from '../../shared/oci/digest.ts';
import { parseTag } from '../../shared/oci/reference.ts';
import type { V2Handlers } from '../../shared/http/v2-exchange.ts';

type Guarded = Pick<V2Handlers, 'uploadStart' | 'uploadCommit' | 'manifestPut'>;

/**
 * The same handlers, which take nothing that operators have blocked: not into a repository, not under a tag, not of a
 * digest as far as the request tells it. (What a manifest's digest is by its bytes, the store looks at.)
 */
export function refuseBlocked<Handlers extends Required<Guarded>>(
  handlers: Handlers,
  blocks: BlockList,
): Handlers {
  const { uploadStart, uploadCommit, manifestPut } = handlers;
  return {
    ...handlers,
    uploadStart: async (exchange) => {
      const { name: repository, query } = exchange.request;
      const digest = parseDigest(query.get('mount') ?? query.get('digest') ?? '');
      await blocks.refuse({ repository, digest }, exchange.signal);
      await uploadStart(exchange);
    },
    uploadCommit: async (exchange) => {
      const { name: repository, query } = exchange.request;
      const digest = parseDigest(query.get('digest') ?? '');
      await blocks.refuse({ repository, digest }, exchange.signal);
      await uploadCommit(exchange);
    },
    manifestPut: async (exchange) => {
      const { name: repository, reference, query } = exchange.request;
      const { digest, tag } = { digest: undefined, tag: undefined, ...reference };
      await blocks.refuse({ repository, digest, tag }, exchange.signal);
      for (const text of query.getAll('tag')) {
        await blocks.refuse({ repository, digest, tag: parseTag(text) }, exchange.signal);
      }
      await manifestPut(exchange);
    },
  };
}
