import type { StoreKind, SubjectName } from './subjects/subject.ts';

/** What Twinport wants to be, as a ratio of its rate to a peer's in the same run. */
export interface Goal {
  readonly work: string;
  readonly store: StoreKind;
  /** Cases whose id begins so; the worst of them counts. */
  readonly cases: string;
  readonly atLeast: Readonly<Partial<Record<Exclude<SubjectName, 'twinport'>, number>>>;
}

export const GOALS: readonly Goal[] = [
  {
    work: 'manifest GET and HEAD',
    store: 's3',
    cases: 'manifest-',
    atLeast: { distribution: 10, zot: 20 },
  },
  {
    work: 'manifest GET and HEAD',
    store: 'files',
    cases: 'manifest-',
    atLeast: { distribution: 3, zot: 1 },
  },
  {
    work: 'config blob GET',
    store: 'files',
    cases: 'config-',
    atLeast: { distribution: 5, zot: 1 },
  },
  { work: 'config blob GET', store: 's3', cases: 'config-', atLeast: { distribution: 5, zot: 5 } },
  {
    work: '60 MB blob GET',
    store: 'files',
    cases: 'blob-60mb',
    atLeast: { distribution: 1, zot: 0.8 },
  },
  {
    work: '60 MB blob GET',
    store: 's3',
    cases: 'blob-60mb',
    atLeast: { distribution: 1.3, zot: 1.2 },
  },
  {
    work: 'push of 1 to 100 MB',
    store: 'files',
    cases: 'push-',
    atLeast: { distribution: 1, zot: 1 },
  },
  {
    work: 'push of 1 to 100 MB',
    store: 's3',
    cases: 'push-',
    atLeast: { distribution: 1.2, zot: 2 },
  },
];

/** Memory of one process in MB. */
export const MEMORY_GOALS = { atRest: 120, underLoad: 300 } as const;
