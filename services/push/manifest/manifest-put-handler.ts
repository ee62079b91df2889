import { registryError } from '../../../shared/oci/errors.ts';
import { MANIFEST_MAX_BYTES } from '../../../shared/oci/media-types.ts';
import { parseTag, type Tag } from '../../../shared/oci/reference.ts';
import { HEADERS } from '../../../shared/http/headers.ts';
import { bodyLength, readBody } from '../../../shared/http/request-body.ts';
import type { V2Handler } from '../../../shared/http/v2-exchange.ts';
import type { ManifestPushService } from './manifest-push-service.ts';

const MAX_TAGS = 100;

/** PUT of a manifest by tag, or by digest with tags beside it (spec.md#pushing-manifests). */
export function createManifestPutHandler(service: ManifestPushService): V2Handler<'manifestPut'> {
  return async (exchange) => {
    const { name, reference, query } = exchange.request;
    const tags = reference.kind === 'digest' ? requireTags(query.getAll('tag')) : [];
    const bytes = await readBody(exchange.body, bodyLength(exchange.http), MANIFEST_MAX_BYTES);
    if (!bytes) {
      throw registryError('MANIFEST_INVALID', {
        status: 413,
        message: `the manifest is larger than ${MANIFEST_MAX_BYTES} bytes`,
      });
    }
    const { digest, parsed } = await service.put(
      name,
      { bytes, contentType: exchange.header('content-type'), reference, tags },
      exchange.signal,
    );
    await exchange.send({
      status: 201,
      headers: {
        [HEADERS.location]: `/v2/${name}/manifests/${digest}`,
        [HEADERS.contentDigest]: digest,
        ...(parsed.subject && { [HEADERS.subject]: parsed.subject.digest }),
        ...(tags.length > 0 && { [HEADERS.tag]: tags }),
      },
    });
  };
}

function requireTags(inputs: readonly string[]): Tag[] {
  if (inputs.length > MAX_TAGS) {
    throw registryError('TAG_INVALID', { status: 414, message: `more than ${MAX_TAGS} tags` });
  }
  return inputs.map((input) => {
    const tag = parseTag(input);
    if (!tag) throw registryError('TAG_INVALID', { detail: { tag: input.slice(0, 128) } });
    return tag;
  });
}
