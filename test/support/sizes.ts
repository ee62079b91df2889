/** Chooses the column, here and in the test workers: `ci` (the default) or `full`. */
const VARIABLE = 'TWINPORT_TEST_SIZES';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** Every size and duration that is smaller in CI than it would be in an operator's life. The same tests run both. */
const TABLE = {
  /** One layer of the image that docker builds, pushes and pulls. */
  dockerLayerBytes: { ci: 4 * MIB, full: 512 * MIB },
  /** One layer of the cold image that many clients pull at once; larger than any buffer on the way. */
  coldLayerBytes: { ci: 24 * MIB, full: 1 * GIB },
  /** Clients that pull the cold image at once. */
  coldClients: { ci: 20, full: 20 },
  /** Clients that pull one cold layer from three replicas at once. */
  fleetClients: { ci: 60, full: 200 },
  /** PATCHes of one byte each in one upload. */
  tinyPatches: { ci: 200, full: 2_000 },
  /** How long one request of an upload lasts that never pauses long; Node's own limit for a request is 300 s. */
  slowUploadSeconds: { ci: 3, full: 330 },
  /** The blob that is pushed and pulled while memory is watched. */
  giantBlobBytes: { ci: 256 * MIB, full: 10 * GIB },
  /** How long pushes, mounts, retags and deletes go on against removals without grace, over each store. */
  removalStormSeconds: { ci: 2, full: 600 },
} as const satisfies Record<string, { readonly ci: number; readonly full: number }>;

/** The size or duration of one row, from the column of this run. */
export function sizeOf(row: keyof typeof TABLE): number {
  return TABLE[row][isFullRun() ? 'full' : 'ci'];
}

export function isFullRun(): boolean {
  return process.env[VARIABLE] === 'full';
}

export function chooseFullSizes(): void {
  process.env[VARIABLE] = 'full';
}
