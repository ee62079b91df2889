import type { IncomingMessage, ServerResponse } from 'node:http';

import { type OciErrorCode, OCI_ERRORS, RegistryError } from '../oci/errors.ts';
import {
  DigestMismatchError,
  RangeNotSatisfiableError,
  SizeMismatchError,
  StorageError,
  UploadOffsetError,
  UploadUnknownError,
} from '../storage/errors.ts';
import { sendAnswer } from './answer.ts';
import { type HeaderFields, HEADERS } from './headers.ts';

const STORE_RETRY_SECONDS = '5';

/** An error as the client sees it. */
export interface RenderedError {
  readonly status: number;
  readonly code: OciErrorCode;
  readonly message: string;
  readonly detail?: unknown;
  readonly headers: HeaderFields;
  /** True when it is our fault or the store's: it is then logged as an error with its cause. */
  readonly isFault: boolean;
}

/** What any thrown value means to a client. Values that are not ours become a 500 that tells nothing of them. */
export function renderError(error: unknown): RenderedError {
  if (error instanceof RegistryError) {
    const { status, code, message, detail, headers } = error;
    return { status, code, message, detail, headers, isFault: status >= 500 };
  }
  if (error instanceof UploadUnknownError) return rendered('BLOB_UPLOAD_UNKNOWN');
  if (error instanceof StorageError) {
    return rendered('UNAVAILABLE', { [HEADERS.retryAfter]: STORE_RETRY_SECONDS }, true);
  }
  if (error instanceof RangeNotSatisfiableError) {
    return rendered('RANGE_INVALID', { [HEADERS.contentRange]: `bytes */${error.totalBytes}` });
  }
  if (error instanceof UploadOffsetError) {
    return { ...rendered('BLOB_UPLOAD_INVALID'), status: 416, message: error.message };
  }
  if (error instanceof DigestMismatchError) return rendered('DIGEST_INVALID');
  if (error instanceof SizeMismatchError) return rendered('SIZE_INVALID');
  return rendered('UNKNOWN', {}, true);
}

/**
 * Answers with the error, or cuts the connection when an answer has begun: what was sent must not look whole. A HEAD
 * gets the same headers without the body.
 */
export async function sendError(
  request: IncomingMessage,
  response: ServerResponse,
  error: RenderedError,
): Promise<void> {
  if (response.headersSent) {
    if (!response.writableEnded) response.destroy();
    return;
  }
  const { code, message, detail } = error;
  await sendAnswer(request, response, {
    status: error.status,
    headers: { [HEADERS.contentType]: 'application/json', ...error.headers },
    body: JSON.stringify({
      errors: [{ code, message, ...(detail === undefined ? {} : { detail }) }],
    }),
  });
}

function rendered(code: OciErrorCode, headers: HeaderFields = {}, isFault = false): RenderedError {
  const { status, message } = OCI_ERRORS[code];
  return { status, code, message, headers, isFault };
}
