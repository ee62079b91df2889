const shared = {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2024' }, module: { type: 'es6' } },
    ],
  },
};

const FULL_SIZES = process.env.TWINPORT_TEST_SIZES === 'full';

/**
 * Unit tests stand beside the code and need nothing; the others talk to real programs, which test/run.ts installs.
 * The time limits are for tests that hang; none is a measurement.
 */
export default {
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
  reporters: ['default', '<rootDir>/test/support/closing-line-reporter.ts'],
  testSequencer: '<rootDir>/test/support/long-files-first.ts',
  maxWorkers: 2,
  testTimeout: FULL_SIZES ? 3_600_000 : 300_000,
  projects: [
    { ...shared, displayName: 'unit', testMatch: ['<rootDir>/{shared,services,bin}/**/*.test.ts'] },
    {
      ...shared,
      displayName: 'integration',
      testMatch: ['<rootDir>/test/integration/**/*.test.ts'],
    },
    { ...shared, displayName: 'wire', testMatch: ['<rootDir>/test/wire/**/*.test.ts'] },
    { ...shared, displayName: 'e2e', testMatch: ['<rootDir>/test/e2e/**/*.test.ts'] },
  ],
};
