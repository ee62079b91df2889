import type { S3Server } from './start-s3.ts';

/** The bucket as the S3 driver of the CNCF registry, and so zot, is told of it. */
export function s3DriverSettings({
  endpoint,
  region,
  bucket,
  accessKeyId,
  secretAccessKey,
}: Pick<S3Server, 'endpoint' | 'region' | 'bucket' | 'accessKeyId' | 'secretAccessKey'>): Readonly<
  Record<string, unknown>
> {
  return {
    region,
    regionendpoint: endpoint,
    bucket,
    accesskey: accessKeyId,
    secretkey: secretAccessKey,
    forcepathstyle: true,
    secure: false,
  };
}
