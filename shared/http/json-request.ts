import type { z } from 'zod';

import { registryError } from '../oci/errors.ts';
import { parseUntrustedJson } from '../oci/json-guard.ts';

/** One spelling of the media type and at most its only charset: readers disagree on everything else. */
const JSON_TYPE = /^application\/json(?: ?; ?charset=(?:utf-8|"utf-8"))?$/i;

/**
 * The body of a management request as its schema has it. Schemas are strict objects: a field that they do not name is
 * refused, so that nobody sets what a form does not show. Throws RegistryError: 415 for another Content-Type, which
 * also keeps forms of foreign pages out, 400 with the first thing that does not fit.
 */
export function parseJsonBody<Schema extends z.ZodObject>(
  contentType: string | undefined,
  bytes: Buffer,
  schema: Schema,
): z.output<Schema> {
  if (!JSON_TYPE.test(contentType ?? '')) {
    throw registryError('UNSUPPORTED', {
      status: 415,
      message: 'the body must have the Content-Type application/json',
    });
  }
  const result = schema.strict().safeParse(parsed(bytes));
  if (result.success) return result.data as z.output<Schema>;
  const [issue] = result.error.issues;
  const place = issue === undefined || issue.path.length === 0 ? 'the body' : issue.path.join('.');
  throw invalid(`${place}: ${issue?.message ?? 'does not fit'}`);
}

function parsed(bytes: Buffer): unknown {
  try {
    return parseUntrustedJson(bytes);
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : 'the body is not JSON');
  }
}

const invalid = (message: string): Error =>
  registryError('UNSUPPORTED', { status: 400, message: message.slice(0, 300) });
