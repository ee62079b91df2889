import { isFullRun } from './sizes.ts';

/** A program that the tests need and the project does not bring. */
export interface Tool {
  /** The program's name on PATH. */
  readonly name: string;
  /** Part of the cache folder's name, so that another version is another folder. */
  readonly version: string;
  /** Debian's package, where it is good enough for the tests. */
  readonly debianPackage?: string;
  /** Where Debian puts it, for programs that another one of the same name may hide on PATH. */
  readonly exactPath?: string;
  /** Its tests can only run as root. */
  readonly needsRoot?: true;
  /** What `go install` builds, without the version. */
  readonly goPackage?: string;
  /**
   * The modules with their versions, goPackage's own among them, that a module made for the build requires. For what
   * `go install` refuses because of directives in its go.mod, and for programs that share most of what they consist of:
   * required together, they agree on its versions, and it is compiled once.
   */
  readonly goModules?: readonly string[];
  /** Never taken from PATH, where another version may stand. */
  readonly isPinned?: true;
  /** What Maven Central has; never taken from PATH. */
  readonly mavenArchive?: MavenArchive;
  /** Only `npm run bench` needs it. */
  readonly isForBench?: true;
  /** Only `npm run test:full` needs it. */
  readonly isForFullRun?: true;
  /** The image that has the program, for a docker engine to bring when nothing else does. */
  readonly image?: string;
}

/** A .tar.gz with one outermost folder. */
export interface MavenArchive {
  /** Below the repository's URL. */
  readonly path: string;
  readonly sha256: string;
  /** Within the outermost folder. */
  readonly program: string;
}

export type ToolName = keyof typeof TOOLS;

const VERSIONS = {
  containerd: 'v2.4.2',
  buildkit: 'v0.33.0',
  moby: 'v2.0.0-beta.24',
  regctl: 'v0.11.7',
  helm: 'v3.22.0',
  cosign: 'v2.6.5',
  criTools: 'v1.36.0',
} as const;

/** The clients and engines that the registry is tried with. Moby needs the version of BuildKit that it was made for. */
const CLIENT_MODULES = [
  `github.com/containerd/containerd/v2@${VERSIONS.containerd}`,
  `github.com/moby/buildkit@${VERSIONS.buildkit}`,
  `github.com/moby/moby/v2@${VERSIONS.moby}`,
  `github.com/regclient/regclient@${VERSIONS.regctl}`,
  `helm.sh/helm/v3@${VERSIONS.helm}`,
  `github.com/sigstore/cosign/v2@${VERSIONS.cosign}`,
  `sigs.k8s.io/cri-tools@${VERSIONS.criTools}`,
] as const;

/** Versions of what Go builds are pinned; Debian's are those of the release it runs on. */
export const TOOLS = {
  'redis-server': {
    name: 'redis-server',
    version: 'debian',
    debianPackage: 'redis-server',
    image: 'redis:7',
  },
  haproxy: {
    name: 'haproxy',
    version: 'debian',
    debianPackage: 'haproxy',
  },
  nginx: {
    name: 'nginx',
    version: 'debian',
    debianPackage: 'nginx',
  },
  openssl: {
    name: 'openssl',
    version: 'debian',
    debianPackage: 'openssl',
  },
  slapd: {
    name: 'slapd',
    version: 'debian',
    debianPackage: 'slapd',
    exactPath: '/usr/sbin/slapd',
  },
  skopeo: {
    name: 'skopeo',
    version: 'debian',
    debianPackage: 'skopeo',
    image: 'quay.io/skopeo/stable:latest',
  },
  podman: {
    name: 'podman',
    version: 'debian',
    debianPackage: 'podman',
    needsRoot: true,
  },
  buildah: {
    name: 'buildah',
    version: 'debian',
    debianPackage: 'buildah',
    needsRoot: true,
  },
  dockerd: {
    name: 'dockerd',
    version: 'debian',
    debianPackage: 'docker.io',
    exactPath: '/usr/sbin/dockerd',
    needsRoot: true,
  },
  docker: {
    name: 'docker',
    version: 'debian',
    debianPackage: 'docker.io',
    exactPath: '/usr/bin/docker',
  },
  containerd: {
    name: 'containerd',
    version: 'debian',
    debianPackage: 'containerd',
    exactPath: '/usr/bin/containerd',
    needsRoot: true,
  },
  ctr: {
    name: 'ctr',
    version: 'debian',
    debianPackage: 'containerd',
    exactPath: '/usr/bin/ctr',
  },
  'docker-compose': {
    name: 'docker-compose',
    version: 'v2.40.3',
    goPackage: 'github.com/docker/compose/v2/cmd',
    goModules: ['github.com/docker/compose/v2@v2.40.3'],
    isPinned: true,
  },
  mmdebstrap: {
    name: 'mmdebstrap',
    version: 'debian',
    debianPackage: 'mmdebstrap',
    needsRoot: true,
  },
  minio: {
    name: 'minio',
    version: 'v0.0.0-20260212201848-7aac2a2c5b7c',
    goPackage: 'github.com/minio/minio',
    image: 'minio/minio:latest',
  },
  versitygw: {
    name: 'versitygw',
    version: 'v1.7.0',
    goPackage: 'github.com/versity/versitygw/cmd/versitygw',
    image: 'versity/versitygw:v1.7.0',
  },
  registry: {
    name: 'registry',
    version: 'v3.1.1',
    goPackage: 'github.com/distribution/distribution/v3/cmd/registry',
    image: 'registry:3.1.1',
  },
  crane: {
    name: 'crane',
    version: 'v0.22.1',
    goPackage: 'github.com/google/go-containerregistry/cmd/crane',
    image: 'gcr.io/go-containerregistry/crane:v0.22.1',
  },
  regctl: {
    name: 'regctl',
    version: VERSIONS.regctl,
    goPackage: 'github.com/regclient/regclient/cmd/regctl',
    goModules: CLIENT_MODULES,
    isPinned: true,
  },
  'containerd-2': {
    name: 'containerd',
    // Another folder than that of builds without the Kubernetes part.
    version: `${VERSIONS.containerd}-cri`,
    goPackage: 'github.com/containerd/containerd/v2/cmd/containerd',
    goModules: CLIENT_MODULES,
    isPinned: true,
    needsRoot: true,
  },
  'containerd-2-shim': {
    name: 'containerd-shim-runc-v2',
    version: VERSIONS.containerd,
    goPackage: 'github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2',
    goModules: CLIENT_MODULES,
    isPinned: true,
  },
  'ctr-2': {
    name: 'ctr',
    version: VERSIONS.containerd,
    goPackage: 'github.com/containerd/containerd/v2/cmd/ctr',
    goModules: CLIENT_MODULES,
    isPinned: true,
  },
  crictl: {
    name: 'crictl',
    version: VERSIONS.criTools,
    goPackage: 'sigs.k8s.io/cri-tools/cmd/crictl',
    goModules: CLIENT_MODULES,
    isPinned: true,
  },
  helm: {
    name: 'helm',
    version: VERSIONS.helm,
    goPackage: 'helm.sh/helm/v3/cmd/helm',
    goModules: CLIENT_MODULES,
    isPinned: true,
  },
  cosign: {
    name: 'cosign',
    version: VERSIONS.cosign,
    goPackage: 'github.com/sigstore/cosign/v2/cmd/cosign',
    goModules: CLIENT_MODULES,
    isPinned: true,
  },
  'dockerd-29': {
    name: 'dockerd',
    version: VERSIONS.moby,
    goPackage: 'github.com/moby/moby/v2/cmd/dockerd',
    goModules: CLIENT_MODULES,
    isPinned: true,
    needsRoot: true,
  },
  buildkitd: {
    name: 'buildkitd',
    version: VERSIONS.buildkit,
    goPackage: 'github.com/moby/buildkit/cmd/buildkitd',
    goModules: CLIENT_MODULES,
    isPinned: true,
    needsRoot: true,
  },
  buildctl: {
    name: 'buildctl',
    version: VERSIONS.buildkit,
    goPackage: 'github.com/moby/buildkit/cmd/buildctl',
    goModules: CLIENT_MODULES,
    isPinned: true,
  },
  promtool: {
    name: 'promtool',
    version: 'debian',
    debianPackage: 'prometheus',
  },
  java: {
    name: 'java',
    version: 'debian',
    debianPackage: 'default-jre-headless',
    isForFullRun: true,
  },
  keycloak: {
    name: 'keycloak',
    version: '26.7.3',
    mavenArchive: {
      path: 'org/keycloak/keycloak-quarkus-dist/26.7.3/keycloak-quarkus-dist-26.7.3.tar.gz',
      sha256: '77657f30b7e90d70f727712ce1c967f430fd6a5e9f458d32d8c6df0635345f47',
      program: 'bin/kc.sh',
    },
    isPinned: true,
    isForFullRun: true,
  },
  // Takes half a minute to install.
  chromium: {
    name: 'chromium',
    version: 'debian',
    debianPackage: 'chromium',
    isForFullRun: true,
  },
  wrk: { name: 'wrk', version: 'debian', debianPackage: 'wrk', isForBench: true },
  hey: { name: 'hey', version: 'debian', debianPackage: 'hey', isForBench: true },
} as const satisfies Record<string, Tool>;

/** What the tests of this run's column need. */
export function testTools(): ToolName[] {
  return (Object.keys(TOOLS) as ToolName[]).filter((name) => {
    const tool: Tool = TOOLS[name];
    return tool.isForBench !== true && (tool.isForFullRun !== true || isFullRun());
  });
}
