/**
 * `npm run test:k8s`: the demo overlay in a real cluster, in a namespace of its own that it removes again. Needs root
 * (it builds the images), kubectl on PATH, and by environment:
 *
 *   KUBECONFIG       the cluster
 *   K8S_LOAD_IMAGE   a shell command that makes an image known to every node; it gets the path of a docker archive as
 *                    its last argument, or wherever it says "$1". For example: kind load image-archive
 *   K8S_MIRROR_HOST  host:port under which the nodes' container runtime reaches the mirror by plain HTTP. Without it
 *                    127.0.0.1:30501, the NodePort of the demo, which kube-proxy serves there in its iptables mode
 *   K8S_KEEP=true    leaves the namespace
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { MISSING_TOOLS_VARIABLE, requireTool } from '../support/find-tool.ts';
import { installTools } from '../support/install-tools.ts';
import { runSuccessfully } from '../support/run-command.ts';
import { runFolder, sweepRun } from '../support/run-folder.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { Cluster } from './cluster.ts';
import {
  makeRedisImage,
  makeS3Image,
  makeTwinportImage,
  makeUnknownImage,
  S3_PROGRAM,
} from './demo-images.ts';
import type { ImageFile } from './demo-images.ts';

interface Settings {
  readonly loadImage: string;
  readonly mirrorHost: string;
  readonly isKept: boolean;
}

const DEMO = path.resolve(import.meta.dirname, '..', '..', 'k8s', 'overlays', 'demo');
const DEPLOYMENTS = ['redis', 's3', 'twinport-push', 'twinport-mirror'];
const REPOSITORY = 'demo/hello';

let passed = 0;

function readSettings(env: NodeJS.ProcessEnv): Settings {
  const loadImage = env['K8S_LOAD_IMAGE'] ?? '';
  if ((env['KUBECONFIG'] ?? '') === '')
    throw new Error('KUBECONFIG is not set: it names the cluster to test in');
  if (loadImage === '')
    throw new Error('K8S_LOAD_IMAGE is not set: the command that makes an image known to the nodes');
  return {
    loadImage,
    mirrorHost: env['K8S_MIRROR_HOST'] ?? '127.0.0.1:30501',
    isKept: env['K8S_KEEP'] === 'true',
  };
}

async function main(): Promise<number> {
  const settings = readSettings(process.env);
  const missing = await installTools((line) => console.log(`set-up: ${line}`));
  process.env[MISSING_TOOLS_VARIABLE] = JSON.stringify(missing);
  const namespace = `twinport-test-${process.pid}`;
  const cluster = new Cluster(namespace);
  const folder = makeTempFolder('k8s');
  try {
    const images = await loadImages(settings, folder);
    await check('the demo overlay is accepted, all of it within the restricted standard', () =>
      deploy(cluster, namespace, images, folder),
    );
    await check('Redis, the S3 server, the push service and the mirror become ready', () =>
      becomeReady(cluster),
    );
    await check('both roles use the Redis', () => useRedis(cluster));
    await check('an image is pushed to the push service and refused by the mirror', () =>
      push(cluster, folder),
    );
    await check(`a node pulls it through the mirror at ${settings.mirrorHost} and runs it`, () =>
      pullByKubelet(cluster, settings.mirrorHost),
    );
    await check('after a rolling restart of both roles the mirror serves it still', () => restart(cluster));
    return 0;
  } catch (error) {
    console.error(error);
    console.error(await cluster.describeTrouble());
    return 1;
  } finally {
    if (!settings.isKept) await cluster.remove().catch((error: unknown) => console.error(error));
  }
}

async function check(what: string, run: () => Promise<void>): Promise<void> {
  const startedAt = performance.now();
  try {
    await run();
  } catch (error) {
    console.log(`not ok: ${what}`);
    throw error;
  }
  passed += 1;
  console.log(`ok: ${what} (${Math.round((performance.now() - startedAt) / 1_000)} s)`);
}

interface DemoImages {
  readonly twinport: ImageFile;
  readonly redis: ImageFile;
  readonly s3: ImageFile;
}

async function loadImages({ loadImage }: Settings, folder: string): Promise<DemoImages> {
  const images = {
    twinport: await makeTwinportImage(folder),
    redis: await makeRedisImage(folder),
    s3: await makeS3Image(folder),
  };
  const command = loadImage.includes('$1') ? loadImage : `${loadImage} "$1"`;
  for (const { name, file } of Object.values(images)) {
    await runSuccessfully('sh', ['-c', command, 'load-image', file], { timeoutMs: 300_000 });
    console.log(`loaded ${name}`);
  }
  return images;
}

/** Applies the overlay with the images made here, in another namespace than the demo's own. */
async function deploy(
  cluster: Cluster,
  namespace: string,
  images: DemoImages,
  folder: string,
): Promise<void> {
  const overlay = path.join(folder, 'overlay');
  mkdirSync(overlay);
  const replacements = {
    twinport: images.twinport.name,
    'docker.io/library/redis': images.redis.name,
    'ghcr.io/versity/versitygw': images.s3.name,
  };
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    namespace,
    resources: [path.relative(overlay, DEMO)],
    images: Object.entries(replacements).map(([name, replacement]) => {
      const colon = replacement.lastIndexOf(':');
      return { name, newName: replacement.slice(0, colon), newTag: replacement.slice(colon + 1) };
    }),
  };
  writeFileSync(path.join(overlay, 'kustomization.yaml'), JSON.stringify(kustomization));
  const { code, stdout, stderr } = await cluster.tryKubectl('apply', '--kustomize', overlay);
  if (code !== 0 || stderr.includes('PodSecurity')) throw new Error(`${stdout}${stderr}`);
}

async function becomeReady(cluster: Cluster): Promise<void> {
  for (const name of DEPLOYMENTS)
    await cluster.kubectl('rollout', 'status', `deployment/${name}`, '--timeout=240s');
}

/** Both answer for themselves; an upstream may be out of reach here, Redis may not. */
async function useRedis(cluster: Cluster): Promise<void> {
  for (const [role, port] of Object.entries({ push: 9090, mirror: 9091 })) {
    const metrics = await cluster.forward(`deployment/twinport-${role}`, port);
    try {
      const answer = await fetch(`http://${metrics.host}/readyz`);
      const { degraded } = (await answer.json()) as { degraded: readonly string[] };
      if (degraded.includes('redis')) throw new Error(`the ${role} role works without Redis`);
    } finally {
      await metrics.stop();
    }
  }
}

async function push(cluster: Cluster, folder: string): Promise<void> {
  const image = await makeUnknownImage(folder);
  const pushService = await cluster.forward('service/twinport-push', 5000);
  const mirror = await cluster.forward('service/twinport-mirror', 5001);
  try {
    const crane = requireTool('crane');
    await runSuccessfully(crane, ['push', image.file, `${pushService.host}/${REPOSITORY}:1`]);
    const uploads = `http://${mirror.host}/v2/${REPOSITORY}/blobs/uploads/`;
    const refusal = await fetch(uploads, { method: 'POST' });
    await refusal.arrayBuffer();
    if (refusal.status !== 405) throw new Error(`the mirror answered ${refusal.status} to a push`);
  } finally {
    await Promise.all([pushService.stop(), mirror.stop()]);
  }
}

async function pullByKubelet(cluster: Cluster, mirrorHost: string): Promise<void> {
  const name = 'pulled-through-the-mirror';
  await cluster.apply(pulledPod(name, `${mirrorHost}/${REPOSITORY}:1`));
  const until = '--for=jsonpath={.status.phase}=Succeeded';
  await cluster.kubectl('wait', `pod/${name}`, until, '--timeout=180s');
  const messages = await cluster.kubectl(
    ...['get', 'events', '--output=jsonpath={.items[*].message}'],
    `--field-selector=involvedObject.name=${name},reason=Pulled`,
  );
  if (!messages.includes('Successfully pulled image'))
    throw new Error(`the image was not pulled: ${messages}`);
  console.log(`  ${messages.trim()}`);
}

/** A pod that ends by itself, within the restricted standard. */
function pulledPod(name: string, image: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 65532,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          name: 'hello',
          image,
          imagePullPolicy: 'Always',
          command: [S3_PROGRAM, '--version'],
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
        },
      ],
    },
  };
}

/** Replaces every pod of both roles, one after the other. */
async function restart(cluster: Cluster): Promise<void> {
  await cluster.kubectl('rollout', 'restart', 'deployment/twinport-push', 'deployment/twinport-mirror');
  await becomeReady(cluster);
  const mirror = await cluster.forward('service/twinport-mirror', 5001);
  try {
    const answer = await fetch(`http://${mirror.host}/v2/${REPOSITORY}/manifests/1`);
    await answer.arrayBuffer();
    if (answer.status !== 200) throw new Error(`after the restart the mirror answers ${answer.status}`);
  } finally {
    await mirror.stop();
  }
}

const folder = runFolder();
let code = 1;
try {
  code = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
} finally {
  for (const name of sweepRun(folder)) console.error(`ended what was left running: ${name}`);
}
console.log(`${passed} passed, ${code} failed`);
process.exitCode = code;
