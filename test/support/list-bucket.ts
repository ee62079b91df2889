import {
  ListMultipartUploadsCommand,
  paginateListObjectsV2,
  type S3Client,
} from '@aws-sdk/client-s3';

/** Every key in the bucket that begins with `prefix`. */
export async function listKeys(
  client: S3Client,
  bucket: string,
  prefix: string,
): Promise<string[]> {
  const keys: string[] = [];
  for await (const page of paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: prefix })) {
    for (const { Key } of page.Contents ?? []) if (Key !== undefined) keys.push(Key);
  }
  return keys;
}

/** The keys, beginning with `prefix`, of multipart uploads that are neither completed nor aborted. */
export async function listOpenMultiparts(
  client: S3Client,
  bucket: string,
  prefix: string,
): Promise<string[]> {
  // Without a prefix of its own: MinIO answers only that and exact keys.
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
  return Uploads.map(({ Key = '' }) => Key).filter((key) => key.startsWith(prefix));
}
