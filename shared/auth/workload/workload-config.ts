/** Where tokens of programs come from: a Kubernetes cluster, a CI service. */
export interface WorkloadIssuer {
  /** As it stands in `iss`. */
  readonly issuer: string;
  /** Where its keys are; undefined: where its discovery document says. */
  readonly jwksUri: string | undefined;
  /** Tokens that were made for somebody else are refused. */
  readonly audience: string;
  readonly algorithms: readonly string[];
  /** At least one has to fit, or the token opens nothing: everybody may have tokens of a public CI service. */
  readonly groups: readonly WorkloadGroup[];
}

/** Tokens whose claim fits belong to the group. */
interface WorkloadGroup {
  readonly group: string;
  /** `sub`, or a path like `kubernetes.io/namespace`. */
  readonly claim: string;
  /** With `*` for any part. */
  readonly pattern: string;
}
