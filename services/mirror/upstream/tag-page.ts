import { z } from 'zod';

import { parseTag, type Tag } from '../../../shared/oci/reference.ts';
import { isHtml, parseJson } from './answer.ts';
import { type ExchangeResponse, readBody } from './http-exchange.ts';
import { nextPageQuery } from './next-page.ts';

const TAG_PAGE_MAX_BYTES = 4 * 1024 * 1024;
/** Null is what Go's encoders write for an empty list. */
const tagPage = z.object({ tags: z.array(z.string()).nullish() });

export interface TagPage {
  /** What is no valid tag is left out. */
  readonly tags: readonly Tag[];
  /** What it was as JSON. */
  readonly bytes: number;
  /** Query of the next page. */
  readonly query: string | undefined;
}

/** One page of a `tags/list` answer, or undefined when it is none. */
export async function readTagPage(response: ExchangeResponse): Promise<TagPage | undefined> {
  const body = await readBody(response.body, TAG_PAGE_MAX_BYTES, response.url);
  const page = tagPage.safeParse(isHtml(response) ? undefined : parseJson(body));
  if (!page.success) return undefined;
  const tags = (page.data.tags ?? []).map(parseTag).filter((tag) => tag !== undefined);
  return { tags, bytes: body?.length ?? 0, query: nextPageQuery(response) };
}
