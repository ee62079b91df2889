import type { OidcSignIn } from '../auth/oidc/oidc-sign-in.ts';
import type { SignIn } from '../auth/sign-in.ts';
import type { RouteCall } from '../http/answer-route.ts';
import type { EndpointApi } from '../http/endpoint-api.ts';
import type { ProjectRecord } from '../index/ports.ts';
import type { Clock } from '../lifecycle/clock.ts';
import type { CliPasswords } from '../management/cli-passwords.ts';
import type { PasswordChange } from '../management/password-change.ts';
import type { People } from '../management/people.ts';
import type { ProjectAdministration } from '../management/project-administration.ts';
import type { Robots } from '../management/robots.ts';
import type { Users } from '../management/users.ts';
import type { AuditLog } from '../observability/audit-log.ts';
import type { AccessPolicy } from '../auth/access.ts';
import { answerEndpoint, type EndpointAnswering } from './answer-endpoint.ts';
import { Callers, type WebSessions } from './callers.ts';
import type { Endpoint } from './endpoint.ts';
import { EndpointTable } from './endpoint-table.ts';
import { accountEndpoints } from './endpoints/account-endpoints.ts';
import { memberEndpoints } from './endpoints/member-endpoints.ts';
import { peopleEndpoints } from './endpoints/people-endpoints.ts';
import { projectEndpoints } from './endpoints/project-endpoints.ts';
import {
  repositoryEndpoints,
  type RepositoryEndpointsDependencies,
} from './endpoints/repository-endpoints.ts';
import { robotEndpoints } from './endpoints/robot-endpoints.ts';
import { sessionEndpoints } from './endpoints/session-endpoints.ts';
import {
  documentEndpoint,
  healthEndpoint,
  type SystemEndpointsDependencies,
} from './endpoints/system-endpoints.ts';
import { type UsedBytes, usageEndpoint } from './endpoints/usage-endpoint.ts';
import { userEndpoints } from './endpoints/user-endpoints.ts';
import { accountPages } from './pages/account-pages.ts';
import { oidcEndpoints } from './pages/oidc-endpoints.ts';
import { passwordPages } from './pages/password-pages.ts';
import { ProjectGate } from './project-gate.ts';
import { WebSignIn } from './web-sign-in.ts';

/** People and programs, where this registry knows any. What is undefined has no endpoints. */
export interface ManagedIdentities {
  /** True where rights follow from the records of projects; false: whoever is signed in may do everything. */
  readonly isByProjects: boolean;
  readonly users?: Users | undefined;
  readonly passwordChange?: PasswordChange | undefined;
  readonly cliPasswords?: CliPasswords | undefined;
  /** For whom a directory or a provider vouches. */
  readonly people?: People | undefined;
  readonly robots?: Robots | undefined;
  /** People who sign in with a browser. */
  readonly web?:
    | (WebSessions & {
        /** Undefined: by OpenID Connect alone. */
        readonly signIn: Pick<SignIn, 'check'> | undefined;
        readonly oidc:
          | {
              readonly signIn: Pick<OidcSignIn, 'begin' | 'finish'>;
              readonly people: Pick<People, 'noteSignIn'>;
            }
          | undefined;
      })
    | undefined;
  /** Called when an account was changed: who was signed in is asked again. */
  readonly onAccountChange: () => void;
}

/** What the management API stands on. */
export interface ManagementParts {
  readonly administration: ProjectAdministration;
  /** Who may make projects. */
  readonly creation: 'everyone' | 'admins';
  /** Undefined: everybody may do everything. */
  readonly identities: ManagedIdentities | undefined;
  /** After a project that caches an upstream was deleted: what an index remembers of it is forgotten. */
  readonly afterCacheDeletion?: (() => Promise<unknown>) | undefined;
}

export interface ManagementApiDependencies
  extends SystemEndpointsDependencies, Omit<RepositoryEndpointsDependencies, 'gate'> {
  readonly parts: ManagementParts;
  /** As it decides about repositories at this role. */
  readonly policy: AccessPolicy;
  readonly onProjectChange: (project: ProjectRecord) => void;
  /** Undefined: nobody counts. */
  readonly usedBytes?: UsedBytes | undefined;
  readonly audit: AuditLog | undefined;
  readonly clock: Clock;
}

/** `/api/v1` and the pages beside it, for the HTTP edge of a role. */
export function createManagementApi(deps: ManagementApiDependencies): EndpointApi {
  const { parts, audit } = deps;
  const { identities } = parts;
  const callers = new Callers({ hasIdentities: identities !== undefined, web: identities?.web });
  return served(managementEndpoints(deps), { callers, audit });
}

export interface RoleApiDependencies extends SystemEndpointsDependencies {
  /** False where everybody may do everything. */
  readonly hasIdentities: boolean;
  readonly audit: AuditLog | undefined;
  readonly clock: Clock;
}

/** `/api/v1` of a role that manages nothing: how it is, and who asks. */
export function createRoleApi(deps: RoleApiDependencies): EndpointApi {
  const { hasIdentities, audit, clock, version } = deps;
  const own = { clock, cliPasswords: undefined, passwordChange: undefined };
  const endpoints = [...(hasIdentities ? accountEndpoints(own) : []), healthEndpoint(deps)];
  const callers = new Callers({ hasIdentities, web: undefined });
  return served([...endpoints, documentEndpoint(endpoints, version)], { callers, audit });
}

function served(endpoints: readonly Endpoint[], answering: EndpointAnswering): EndpointApi {
  const table = new EndpointTable(endpoints);
  return {
    find: (path) => {
      const found = table.find(path);
      return found && { answer: (call: RouteCall) => answerEndpoint(found, call, answering) };
    },
  };
}

/** All endpoints that there are with these parts. */
export function managementEndpoints(deps: ManagementApiDependencies): Endpoint[] {
  const { parts, policy, onProjectChange, usedBytes, clock, version } = deps;
  const { administration, identities } = parts;
  const isByProjects = identities?.isByProjects ?? false;
  const gate = new ProjectGate({ policy, administration, onProjectChange, isByProjects });
  const endpoints = [
    ...projectEndpoints({ ...parts, gate }),
    ...(usedBytes ? [usageEndpoint(gate, usedBytes)] : []),
    ...repositoryEndpoints({ ...deps, gate }),
    ...(isByProjects ? memberEndpoints({ gate, administration }) : []),
    ...(identities?.robots ? robotEndpoints({ gate, robots: identities.robots, clock }) : []),
    ...identityEndpoints(identities, clock),
    healthEndpoint(deps),
  ];
  return [...endpoints, documentEndpoint(endpoints, version)];
}

function identityEndpoints(identities: ManagedIdentities | undefined, clock: Clock): Endpoint[] {
  if (!identities) return [];
  const { users, people, cliPasswords, passwordChange, web, onAccountChange } = identities;
  return [
    ...accountEndpoints({ clock, cliPasswords, passwordChange }),
    ...(users ? userEndpoints({ users, onChange: onAccountChange }) : []),
    ...(people ? peopleEndpoints({ people, onChange: onAccountChange }) : []),
    ...(web ? webEndpoints(web, identities, clock) : []),
  ];
}

function webEndpoints(
  options: NonNullable<ManagedIdentities['web']>,
  { cliPasswords, passwordChange }: ManagedIdentities,
  clock: Clock,
): Endpoint[] {
  const { oidc, signIn, pages } = options;
  const web = new WebSignIn(options, signIn);
  const hasOidc = oidc !== undefined;
  const changesPasswords = passwordChange !== undefined;
  return [
    ...sessionEndpoints(web),
    ...(oidc ? oidcEndpoints({ oidc: oidc.signIn, people: oidc.people, web, pages }) : []),
    ...(cliPasswords ? accountPages({ web, hasOidc, changesPasswords, cliPasswords, clock }) : []),
    ...(passwordChange ? passwordPages(passwordChange) : []),
  ];
}
