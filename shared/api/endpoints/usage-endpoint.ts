import { z } from 'zod';

import type { ProjectRecord } from '../../index/ports.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import type { ProjectGate } from '../project-gate.ts';

/** What the blobs and manifests of a project take, each counted once. */
export type UsedBytes = (project: ProjectRecord, signal: AbortSignal) => Promise<number>;

/** `/api/v1/projects/{project}/usage` */
export const usageEndpoint = (gate: ProjectGate, usedBytes: UsedBytes): Endpoint =>
  endpoint({
    method: 'GET',
    path: '/api/v1/projects/{project}/usage',
    id: 'getUsage',
    summary: 'What a project takes, each blob counted once, for those who belong to it',
    access: 'signed-in',
    reply: z.object({ usedBytes: z.number(), quotaBytes: z.number().exactOptional() }),
    status: 200,
    answer: async ({ caller, parameters, signal }) => {
      const project = await gate.projectFor(caller, parameters.project, 'look', signal);
      const { quotaBytes } = project;
      return {
        value: {
          usedBytes: await usedBytes(project, signal),
          ...(quotaBytes !== undefined && { quotaBytes }),
        },
      };
    },
  });
