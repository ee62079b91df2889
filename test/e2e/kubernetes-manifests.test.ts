import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';

import { TOOLS } from '../support/tools.ts';

const K8S = path.resolve(import.meta.dirname, '..', '..', 'k8s');

const PROBE = z.object({ httpGet: z.object({ path: z.string(), port: z.string() }) });
const DEPLOYMENT = z.object({
  kind: z.literal('Deployment'),
  metadata: z.object({ name: z.string() }),
  spec: z.object({
    template: z.object({
      spec: z.object({
        automountServiceAccountToken: z.boolean(),
        enableServiceLinks: z.boolean(),
        terminationGracePeriodSeconds: z.number().optional(),
        securityContext: z.object({
          runAsNonRoot: z.boolean(),
          runAsUser: z.number(),
          seccompProfile: z.object({ type: z.string() }),
        }),
        containers: z.array(
          z.object({
            image: z.string(),
            env: z.array(z.object({ name: z.string(), value: z.string().optional() })).default([]),
            livenessProbe: PROBE.optional(),
            startupProbe: PROBE.optional(),
            lifecycle: z
              .object({ preStop: z.object({ sleep: z.object({ seconds: z.number() }) }) })
              .optional(),
            resources: z.object({
              requests: z.record(z.string(), z.string()),
              limits: z.record(z.string(), z.string()),
            }),
            securityContext: z.object({
              allowPrivilegeEscalation: z.boolean(),
              readOnlyRootFilesystem: z.boolean(),
              capabilities: z.object({ drop: z.array(z.string()) }),
            }),
          }),
        ),
        volumes: z.array(
          z.object({ name: z.string(), emptyDir: z.object({ sizeLimit: z.string() }) }),
        ),
      }),
    }),
  }),
});
type Deployment = z.infer<typeof DEPLOYMENT>;

function deploymentsOf(folder: string): Deployment[] {
  const files = readdirSync(path.join(K8S, folder)).filter((name) => name !== 'kustomization.yaml');
  const objects = files.flatMap((name) =>
    parseAllDocuments(readFileSync(path.join(K8S, folder, name), 'utf8')).map(
      (document) => document.toJS() as { kind: string },
    ),
  );
  return objects.filter(({ kind }) => kind === 'Deployment').map((one) => DEPLOYMENT.parse(one));
}

const base = deploymentsOf('base');
const all = [...base, ...deploymentsOf('overlays/demo')];

describe('the Kubernetes manifests', () => {
  test('deploy both roles, and for the demo one Redis and one S3 server', () => {
    const names = all.map(({ metadata }) => metadata.name);
    expect(names.toSorted()).toEqual(['redis', 's3', 'twinport-mirror', 'twinport-push']);
  });

  test.each(all)('$metadata.name stays within the restricted standard and more', ({ spec }) => {
    const pod = spec.template.spec;
    expect(pod.automountServiceAccountToken).toBe(false);
    expect(pod.enableServiceLinks).toBe(false);
    expect(pod.securityContext).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 65532,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    for (const container of pod.containers) {
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      expect(Object.keys(container.resources.requests).toSorted()).toEqual(['cpu', 'memory']);
      // A limit on the processor would only make pulls slow in bursts.
      expect(Object.keys(container.resources.limits)).toEqual(['memory']);
    }
  });

  test.each(base)('$metadata.name is killed for its own faults alone', ({ spec }) => {
    for (const { livenessProbe, startupProbe } of spec.template.spec.containers) {
      expect(livenessProbe?.httpGet).toEqual({ path: '/livez', port: 'metrics' });
      expect(startupProbe?.httpGet).toEqual({ path: '/livez', port: 'metrics' });
    }
  });

  test.each(base)(
    '$metadata.name has time to finish what it serves before it is killed',
    (role) => {
      const pod = role.spec.template.spec;
      const [container] = pod.containers;
      const grace = container!.env.find(({ name }) => name === 'SHUTDOWN_GRACE_SECONDS')?.value;
      const needed = container!.lifecycle!.preStop.sleep.seconds + Number(grace);
      expect(pod.terminationGracePeriodSeconds! - needed).toBeGreaterThanOrEqual(15);
    },
  );

  test('give the spool a volume that is larger than the spool may grow', () => {
    const mirror = base.find(({ metadata }) => metadata.name === 'twinport-mirror')!;
    const pod = mirror.spec.template.spec;
    const limit = pod.volumes.find(({ name }) => name === 'spool')!.emptyDir.sizeLimit;
    const grows = pod.containers[0]!.env.find(({ name }) => name === 'SPOOL_MAX_BYTES')!.value;
    expect(Number.parseInt(limit) * 1024 ** 3).toBeGreaterThan(Number(grows));
  });

  test('name the version of the S3 server that the tests run', () => {
    const text = readFileSync(path.join(K8S, 'overlays', 'demo', 'kustomization.yaml'), 'utf8');
    expect(text).toContain(`newTag: ${TOOLS.versitygw.version}\n`);
  });
});
