import type { Access, AccessPolicy, Principal } from './access.ts';

/** Whoever is signed in may do everything; the others may pull where that is said to be public. */
export class SignedInPolicy implements AccessPolicy {
  readonly #isPullPublic: boolean;

  constructor(isPullPublic: boolean) {
    this.#isPullPublic = isPullPublic;
  }

  allows(principal: Principal, access: Access): Promise<boolean> {
    const isPull = access.type === 'repository' && access.action === 'pull';
    return Promise.resolve(principal.kind === 'identity' || (isPull && this.#isPullPublic));
  }
}
