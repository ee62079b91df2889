import { z } from 'zod';

import { type Endpoint, endpoint } from '../endpoint.ts';
import type { ProjectGate } from '../project-gate.ts';

/** What the blobs of a project take, each counted once, and may take. */
export type UsageOf = (
  project: string,
  signal: AbortSignal,
) => Promise<{ readonly usedBytes: number; readonly quotaBytes: number | undefined }>;

/** `/api/v1/projects/{project}/usage` */
export const usageEndpoint = (gate: ProjectGate, usageOf: UsageOf): Endpoint =>
  endpoint({
    method: 'GET',
    path: '/api/v1/projects/{project}/usage',
    id: 'getUsage',
    summary: 'What a project takes, each blob counted once, for those who belong to it',
    access: 'signed-in',
    reply: z.object({ usedBytes: z.number(), quotaBytes: z.number().exactOptional() }),
    status: 200,
    answer: async ({ caller, parameters, signal }) => {
      const { name } = await gate.projectFor(caller, parameters.project, 'look', signal);
      const { usedBytes, quotaBytes } = await usageOf(name, signal);
      return { value: { usedBytes, ...(quotaBytes !== undefined && { quotaBytes }) } };
    },
  });
