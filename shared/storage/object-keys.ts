/**
 * Every key of the store, drawn once. Nothing else builds keys.
 *
 *   docker/registry/v2/
 *     blobs/<alg>/<2 hex>/<hex>/data
 *     repositories/<name>/
 *       _layers/<alg>/<hex>/link                       the blob belongs to the repository
 *       _manifests/revisions/<alg>/<hex>/link          the manifest belongs to the repository
 *       _manifests/tags/<tag>/current/link             the tag exists and names this digest
 *       _manifests/tags/<tag>/index/<alg>/<hex>/link   what the tag has named
 *       _uploads/<uuid>/{startedat,owner.json,…}       an upload session
 *       _twinport/origin                               the repository is a cache of an upstream
 *       _twinport/confirmed/<tag>                      when the upstream last confirmed the cached tag
 *       _twinport/used                                 when cached manifests were last pulled
 *       _twinport/types/<alg>-<hex>                    media type that the manifest's bytes do not tell
 *       _twinport/referrers/<alg>-<hex>/<alg>-<hex>    descriptor of a referrer, under its subject
 *   twinport/v1/
 *     store-id.json                                    names the store to those who share a Redis
 *     projects/<name>.json
 *     upstreams/<project>.json
 *     upstreams/<project>.mirrors/<instance>             sign of life of a mirror that published it
 *     users/<name>.json                                people who sign in here
 *     robots/<project>/<name>.json                     accounts of programs
 *     robots/<project>/<name>.used                     when one signed in last
 *     changes/<kind>/<name>/<revision>.json            the last change of a record that people change
 *     usage/<project>.json                             what a project with a quota takes
 *     people/<hash>.{json,locked}                      who came by single sign-on, and whom an administrator locked out
 *     sessions/<hash>.json                             who is signed in at the web
 *     cli-passwords/<hash>/<id>.{json,used}            what people made for their command lines
 *     dirty/<journal id>.json
 *     deleting/<alg>-<hex>.<run>.<phase>               a blob that is being removed (shared/content/removal)
 *     keys/<kid>.json                                  a key of tokens
 *     refresh-tokens/<person>/<end><id>.json           who may have new tokens without his password
 *     deny/<id>.json                                   a reference or digest that nobody may have
 *     pins/<id>.json                                   cached images that stay
 *     eviction/<run>.json                              blobs that a run is about to leave without links
 *     probe/ready                                      shows that the store is still there
 *
 * The first half is the layout of the CNCF distribution registry (registry/storage/paths.go), so that either program
 * serves a store that the other wrote.
 */
import { type Digest, digestAlgorithm, digestHex } from '../oci/digest.ts';
import type { RepositoryName, Tag, UploadId } from '../oci/reference.ts';

const REGISTRY = 'docker/registry/v2';
const OWN = 'twinport/v1';
/** More chunks than an upload of the largest blob by single kilobytes has. */
const GENERATION_DIGITS = 10;
const MAX_GENERATION = 10 ** GENERATION_DIGITS - 1;

const slashed = (digest: Digest): string => `${digestAlgorithm(digest)}/${digestHex(digest)}`;
const dashed = (digest: Digest): string => `${digestAlgorithm(digest)}-${digestHex(digest)}`;

export const blobsFolder = `${REGISTRY}/blobs`;
export const repositoriesFolder = `${REGISTRY}/repositories`;
export const projectsFolder = `${OWN}/projects`;
export const mirrorsFolder = `${OWN}/mirrors`;
export const upstreamsFolder = `${OWN}/upstreams`;
export const dirtyFolder = `${OWN}/dirty`;
export const ownFolder = OWN;
/** Where the CNCF registry keeps the expiry list of its proxy cache, at the root of the store. */
export const foreignProxyCacheKey = 'scheduler-state.json';

export function blobKey(digest: Digest): string {
  const hex = digestHex(digest);
  return `${blobsFolder}/${digestAlgorithm(digest)}/${hex.slice(0, 2)}/${hex}/data`;
}

export const repositoryFolder = (name: string): string => `${repositoriesFolder}/${name}`;
export const layersFolder = (name: RepositoryName): string => `${repositoryFolder(name)}/_layers`;
export const layerLinkKey = (name: RepositoryName, digest: Digest): string =>
  `${layersFolder(name)}/${slashed(digest)}/link`;

export const manifestsFolder = (name: RepositoryName): string =>
  `${repositoryFolder(name)}/_manifests`;
export const revisionsFolder = (name: RepositoryName): string =>
  `${manifestsFolder(name)}/revisions`;
export const revisionLinkKey = (name: RepositoryName, digest: Digest): string =>
  `${revisionsFolder(name)}/${slashed(digest)}/link`;

export const tagsFolder = (name: RepositoryName): string => `${manifestsFolder(name)}/tags`;
export const tagFolder = (name: RepositoryName, tag: Tag): string => `${tagsFolder(name)}/${tag}`;
export const tagCurrentKey = (name: RepositoryName, tag: Tag): string =>
  `${tagFolder(name, tag)}/current/link`;
export const tagHistoryFolder = (name: RepositoryName, tag: Tag): string =>
  `${tagFolder(name, tag)}/index`;
export const tagHistoryKey = (name: RepositoryName, tag: Tag, digest: Digest): string =>
  `${tagHistoryFolder(name, tag)}/${slashed(digest)}/link`;

export const uploadsFolder = (name: RepositoryName): string => `${repositoryFolder(name)}/_uploads`;
export const uploadFolder = (name: RepositoryName, id: UploadId): string =>
  `${uploadsFolder(name)}/${id}`;

/** Holds what the layout of the CNCF registry has no place for. */
export const ownRepositoryFolder = (name: RepositoryName): string =>
  `${repositoryFolder(name)}/_twinport`;
export const originKey = (name: RepositoryName): string =>
  `${repositoryFolder(name)}/_twinport/origin`;
export const confirmationKey = (name: RepositoryName, tag: Tag): string =>
  `${repositoryFolder(name)}/_twinport/confirmed/${tag}`;
export const manifestTypesFolder = (name: RepositoryName): string =>
  `${repositoryFolder(name)}/_twinport/types`;
export const manifestTypeKey = (name: RepositoryName, digest: Digest): string =>
  `${manifestTypesFolder(name)}/${dashed(digest)}`;
export const referrersOfRepository = (name: RepositoryName): string =>
  `${repositoryFolder(name)}/_twinport/referrers`;
export const referrersFolder = (name: RepositoryName, subject: Digest): string =>
  `${referrersOfRepository(name)}/${dashed(subject)}`;
export const referrerKey = (name: RepositoryName, subject: Digest, referrer: Digest): string =>
  `${referrersFolder(name, subject)}/${referrerRecordName(referrer)}`;
/** The name of a referrer's record in the folder of its subject; records sort as their digests do. */
export const referrerRecordName = (referrer: Digest): string => dashed(referrer);

export const storeIdKey = `${OWN}/store-id.json`;
export const internalSecretKey = `${OWN}/internal-secret.json`;
export const projectKey = (project: string): string => `${projectsFolder}/${project}.json`;
export const upstreamKey = (project: string): string => `${upstreamsFolder}/${project}.json`;
/** The sign of life of a running mirror. */
export const mirrorKey = (instance: string): string => `${mirrorsFolder}/${instance}.json`;
export const dirtyKey = (id: string): string => `${dirtyFolder}/${id}.json`;
export const probeFolder = `${OWN}/probe`;
export const probeKey = (id: string): string => `${probeFolder}/${id}`;

/** When an upload session began, RFC 3339; the session exists as long as this does. */
export const uploadStartedAtKey = (name: RepositoryName, id: UploadId): string =>
  `${uploadFolder(name, id)}/startedat`;
/** With what the keys of `startedat` and of a session's records begin, and no other key. */
export const uploadRecordsPrefix = (name: RepositoryName, id: UploadId): string =>
  `${uploadFolder(name, id)}/sta`;
/** Where an upload session of the S3 store stands, or which blob it became. The newest record sorts first. */
export const uploadStateKey = (name: RepositoryName, id: UploadId, generation: number): string => {
  const place = String(MAX_GENERATION - generation).padStart(GENERATION_DIGITS, '0');
  return `${uploadFolder(name, id)}/state-${place}.json`;
};
/** The generation that a key names as the place of a session's record; undefined for other keys. */
export function uploadStateGeneration(key: string): number | undefined {
  const place = /\/state-(\d+)\.json$/.exec(key)?.[1];
  return place?.length === GENERATION_DIGITS ? MAX_GENERATION - Number(place) : undefined;
}
/** Where the CNCF registry stages the bytes of a session. */
export const foreignUploadDataKey = (name: RepositoryName, id: UploadId): string =>
  `${uploadFolder(name, id)}/data`;
/** An object that a multipart upload of a session makes; `segment` is used once. */
export const uploadSegmentKey = (name: RepositoryName, id: UploadId, segment: string): string =>
  `${uploadFolder(name, id)}/data-${segment}`;
/** Bytes of a session that are too few for a part. */
export const uploadTailKey = (name: RepositoryName, id: UploadId, tail: string): string =>
  `${uploadFolder(name, id)}/tail-${tail}`;
/** Listed by every process every few seconds: few and small. */
export const deletingFolder = `${OWN}/deleting`;
export const deletingMarkKey = (name: string): string => `${deletingFolder}/${name}`;
/** With what the names of a blob's marks begin. */
export const deletingMarkPrefix = (digest: Digest): string => dashed(digest);
export const tokenKeysFolder = `${OWN}/keys`;
export const tokenKeyKey = (kid: string): string => `${tokenKeysFolder}/${kid}.json`;
/** By which keys the replicas of a role sign whose keys lie elsewhere. */
export const signingKeysFolder = (role: string): string => `${OWN}/signing/${role}`;
export const signingKeyKey = (role: string, kid: string): string =>
  `${signingKeysFolder(role)}/${kid}.json`;
export const refreshTokensFolder = `${OWN}/refresh-tokens`;
/** `person` is the hash of an identity's id. */
export const refreshTokensOf = (person: string): string => `${refreshTokensFolder}/${person}`;
export const refreshTokenKey = (person: string, id: string): string =>
  `${refreshTokensOf(person)}/${id}.json`;
export const denyFolder = `${OWN}/deny`;
export const denyKey = (id: string): string => `${denyFolder}/${id}.json`;
export const pinsFolder = `${OWN}/pins`;
export const pinKey = (id: string): string => `${pinsFolder}/${id}.json`;
export const evictionFolder = `${OWN}/eviction`;
export const evictionKey = (run: string): string => `${evictionFolder}/${run}.json`;
export const lastUseKey = (name: RepositoryName): string => `${ownRepositoryFolder(name)}/used`;
/** Who is writing a blob by a multipart upload without a session. */
export const multipartFolder = `${OWN}/multipart`;
export const multipartOwnerKey = (id: string): string => `${multipartFolder}/${id}.json`;

/** Changes of records that people change, one folder for each record. */
const REVISION_DIGITS = 10;
const allChangesFolder = `${OWN}/changes`;
export const changesFolder = (kind: string, name: string): string =>
  `${allChangesFolder}/${kind}/${name}`;
export const changeKey = (kind: string, name: string, revision: number): string =>
  `${changesFolder(kind, name)}/${String(revision).padStart(REVISION_DIGITS, '0')}.json`;
/** The revision that the name of a change's record tells; undefined for other names. */
export function changeRevision(name: string): number | undefined {
  const digits = /^(\d+)\.json$/.exec(name)?.[1];
  return digits?.length === REVISION_DIGITS ? Number(digits) : undefined;
}
export const usersFolder = `${OWN}/users`;
export const userKey = (name: string): string => `${usersFolder}/${name}.json`;
const robotsFolder = `${OWN}/robots`;
export const robotsOfProject = (project: string): string => `${robotsFolder}/${project}`;
export const robotKey = (project: string, name: string): string =>
  `${robotsOfProject(project)}/${name}.json`;
/** When the robot signed in last. */
export const robotUseKey = (project: string, name: string): string =>
  `${robotsOfProject(project)}/${name}.used`;
/** Who is signed in at the web, by the hash of what his browser has. */
export const sessionsFolder = `${OWN}/sessions`;
export const sessionKey = (hash: string): string => `${sessionsFolder}/${hash}.json`;
/** People of other sources of identities and what is theirs; `person` is the hash of an identity's id. */
export const peopleFolder = `${OWN}/people`;
export const personKey = (person: string): string => `${peopleFolder}/${person}.json`;
export const lockedPersonKey = (person: string): string => `${peopleFolder}/${person}.locked`;
export const cliPasswordsFolder = (person: string): string => `${OWN}/cli-passwords/${person}`;
export const cliPasswordKey = (person: string, id: string): string =>
  `${cliPasswordsFolder(person)}/${id}.json`;
/** When the password was used last. */
export const cliPasswordUseKey = (person: string, id: string): string =>
  `${cliPasswordsFolder(person)}/${id}.used`;
/** What a project with a quota takes, where there is no Redis to count it in. */
export const usageKey = (project: string): string => `${OWN}/usage/${project}.json`;
