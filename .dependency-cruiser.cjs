/** The rules of the house (docs/architecture.md): who may import whom. */
const tests = '\\.test\\.ts$|/testing/|^test/|^bench/';

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'oci-is-pure',
      comment: 'The domain language knows nothing of ours and no transport.',
      severity: 'error',
      from: { path: '^shared/oci/', pathNot: tests },
      to: { pathNot: '^shared/oci/|^node_modules/zod|^(node:)?crypto$' },
    },
    {
      name: 'ports-import-only-oci',
      severity: 'error',
      from: { path: '^shared/(storage|index)/[^/]+\\.ts$', pathNot: tests },
      to: { path: '^(shared|services)/', pathNot: '^shared/(oci|storage|index)/[^/]+\\.ts$' },
    },
    {
      name: 'adapters-never-meet',
      severity: 'error',
      from: { path: '^shared/(storage|index)/(filesystem|s3|redis)/' },
      to: {
        path: '^shared/(storage|index)/(filesystem|s3|redis|store)/',
        pathNot: '^shared/$1/$2/',
      },
    },
    {
      name: 'services-do-not-meet-1',
      severity: 'error',
      from: { path: '^services/push/' },
      to: { path: '^services/mirror/' },
    },
    {
      name: 'services-do-not-meet-2',
      severity: 'error',
      from: { path: '^services/mirror/' },
      to: { path: '^services/push/' },
    },
    {
      name: 'parts-know-no-whole',
      comment: 'What a process is put together from knows nothing of how that is done.',
      severity: 'error',
      from: { path: '^services/(identities|stores)/', pathNot: tests },
      to: { path: '^services/(platform|process|cluster|push|mirror)/' },
    },
    {
      name: 'mirror-cannot-upload',
      severity: 'error',
      from: { path: '^services/mirror/' },
      to: { path: '^shared/storage/.*upload[^/]*\\.ts$' },
    },
    {
      name: 'shared-knows-no-service',
      severity: 'error',
      from: { path: '^shared/' },
      to: { path: '^services/' },
    },
    {
      name: 'aws-only-in-its-adapter',
      severity: 'error',
      from: { pathNot: `^shared/storage/s3/|${tests}` },
      to: { path: '^node_modules/(@aws-sdk|@smithy)/' },
    },
    {
      name: 'ioredis-only-in-its-adapter',
      severity: 'error',
      from: { pathNot: `^shared/index/redis/|${tests}` },
      to: { path: '^node_modules/ioredis/' },
    },
    {
      name: 'undici-only-upstream',
      severity: 'error',
      from: { pathNot: `^services/mirror/upstream/|${tests}` },
      to: { path: '^node_modules/undici/' },
    },
    {
      name: 'ldapts-only-in-its-adapter',
      severity: 'error',
      from: { pathNot: `^shared/auth/ldap/|${tests}` },
      to: { path: '^node_modules/ldapts/' },
    },
    {
      name: 'openid-client-only-in-its-adapter',
      severity: 'error',
      from: { pathNot: `^shared/auth/oidc/|${tests}` },
      to: { path: '^node_modules/openid-client/' },
    },
    {
      name: 'express-only-at-the-edge',
      severity: 'error',
      from: { pathNot: `^shared/(http|auth)/|${tests}` },
      to: { path: '^node_modules/(@types/)?express/' },
    },
    {
      name: 'tests-stay-outside',
      severity: 'error',
      from: { pathNot: tests },
      to: { path: '/testing/|^test/|\\.test\\.ts$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'types'],
    },
  },
};
