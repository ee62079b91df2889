import type { NamedAsker } from './askers.ts';
import { isAllowed, may, refusal, type Role, type Told } from './model.ts';
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
export function makeCells(role: Role, askers: readonly NamedAsker[]): readonly Cell[] {
  return askers.flatMap((asker) =>
    NAMES[role]
      .flatMap((name) => operationsFor(role, name, asker).map((operation) => ({ name, operation })))
      .map(({ name, operation }, serial) => ({
        role,
        asker,
        operation,
        name,
        serial,
        ...verdict(role, asker, operation, name),
      })),
  );
}

function operationsFor(
  role: Role,
  { depth, spelling }: Name,
  { isBad, isCurious }: NamedAsker,
): readonly Operation[] {
  if (depth === 'main reads' && !isCurious) return [];
  const isMainOnly = isBad || depth !== 'every operation';
  const all = role === 'mirror' ? [...READ_OPERATIONS, EXPLANATION] : READ_OPERATIONS;
  const reads = isMainOnly ? all.filter(({ isMain }) => isMain) : all;
  if (depth === 'main reads') return reads;
  // A mirror refuses all of them alike.
  if (role === 'mirror' && spelling !== 'secret/app') return reads;
  const writes = isMainOnly ? WRITE_OPERATIONS.filter(({ isMain }) => isMain) : WRITE_OPERATIONS;
  return [...reads, ...writes];
}

function verdict(
  role: Role,
  asker: NamedAsker,
  operation: Operation,
  name: Name,
): Pick<Cell, 'isAllowed' | 'expected'> {
  if (role === 'mirror' && operation.isRead !== true) {
    return { isAllowed: false, expected: { status: 405, code: 'UNSUPPORTED' } };
  }
  if (!isAllowed(asker, operation.right, name.place, role)) {
    return { isAllowed: false, expected: refusal(asker) };
  }
  const told = operation.told(name);
  return {
    isAllowed: true,
    expected: isMounted(role, asker, operation) && told.status === 202 ? { status: 201 } : told,
  };
}

/** Whether the blob that is to be mounted is there and may be read. */
const isMounted = (role: Role, { who }: NamedAsker, { source }: Operation): boolean =>
  source !== undefined &&
  source !== 'absent' &&
  may(who, 'pull', { kind: 'project', project: source }, role);
