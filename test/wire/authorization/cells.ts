import type { NamedAsker } from './askers.ts';
import { BY_PROJECTS, refusal, type Role, type Rules, type Told } from './model.ts';
import { type Name, NAMES } from './names.ts';
import { EXPLANATION, type Operation, READ_OPERATIONS } from './operations.ts';
import { WRITE_OPERATIONS } from './write-operations.ts';

/** One request by one asker, and what the model says to it. */
export interface Cell {
  readonly role: Role;
  readonly asker: NamedAsker;
  readonly operation: Operation;
  readonly name: Name;
  readonly isAllowed: boolean;
  readonly expected: Told;
  /** The how-manieth of its asker at its role. */
  readonly serial: number;
}

export function describeCell({ role, asker, operation, name }: Cell): string {
  const ns = name.ns === undefined ? '' : ` ns=${name.ns}`;
  return `${role}: ${asker.title}: ${operation.title}: ${name.spelling}${ns}`;
}

/** All of them. */
export function makeCells(
  role: Role,
  askers: readonly NamedAsker[],
  rules: Rules = BY_PROJECTS,
  names: readonly Name[] = NAMES[role],
): readonly Cell[] {
  return askers.flatMap((asker) =>
    names
      .flatMap((name) => operationsFor(role, name, asker).map((operation) => ({ name, operation })))
      .map(({ name, operation }, serial) => ({
        role,
        asker,
        operation,
        name,
        serial,
        ...verdict({ role, asker, operation, name }, rules),
      })),
  );
}

function operationsFor(
  role: Role,
  { depth, spelling }: Name,
  { isBad, isBrief, isCurious }: NamedAsker,
): readonly Operation[] {
  if (depth === 'main reads' && !isCurious) return [];
  // Who has no right credentials has none for one name as for another, whether it is public or not.
  if (isBad && depth !== 'every operation' && spelling !== 'public/app') return [];
  const isLikeSecret = spelling === 'others/app' && !isCurious;
  const isMainOnly = isBrief || isLikeSecret || depth !== 'every operation';
  const ofDepth = (operations: readonly Operation[]): readonly Operation[] =>
    isMainOnly ? operations.filter(({ isMain }) => isMain) : operations;
  const reads = ofDepth(role === 'mirror' ? [...READ_OPERATIONS, EXPLANATION] : READ_OPERATIONS);
  if (depth === 'main reads') return reads;
  // A mirror refuses all of them alike.
  if (role === 'mirror' && spelling !== 'secret/app') return reads;
  if (role === 'mirror' && !isCurious) {
    return [...reads, ...WRITE_OPERATIONS.filter(({ isMain }) => isMain)];
  }
  return [...reads, ...ofDepth(WRITE_OPERATIONS)];
}

function verdict(
  { role, asker, operation, name }: Pick<Cell, 'role' | 'asker' | 'operation' | 'name'>,
  rules: Rules,
): Pick<Cell, 'isAllowed' | 'expected'> {
  if (role === 'mirror' && operation.isRead !== true) {
    return { isAllowed: false, expected: { status: 405, code: 'UNSUPPORTED' } };
  }
  if (!rules.isAllowed(asker, operation.right, name.place, role)) {
    return { isAllowed: false, expected: refusal(asker) };
  }
  const told = operation.told(name);
  const { source } = operation;
  // The blob that is to be mounted is there and may be read.
  const isMounted =
    source !== undefined &&
    source !== 'absent' &&
    rules.mayRead(asker, { kind: 'project', project: source }, role);
  const isMade = isMounted && told.status === 202;
  return { isAllowed: true, expected: isMade ? { status: 201 } : told };
}
