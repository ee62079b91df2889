import type { GuardedUpstreams } from './guarded-upstreams.ts';
import { as, type Conversation } from './conversation.ts';

/** Pulls with the accounts of the mirror, while they are taken, refused and not heard. */
export async function pullThroughMirror(
  talk: Conversation,
  { hub, others }: GuardedUpstreams,
  reader: string,
): Promise<void> {
  const pull = async (name: string): Promise<void> => {
    const token = await talk.token('mirror', `repository:${name}:pull`, reader);
    await talk.ask('mirror', `/v2/${name}/manifests/1`, as(token));
    await talk.ask('mirror', `/v2/${name}/tags/list`, as(token));
    await talk.ask('mirror', `/api/v1/explain?ref=${name}:1`, as(token));
  };
  await pull('library/hello');
  await pull('org/hidden');
  const projects = [...Object.keys(others), 'lent', 'unhelped', 'behind'];
  for (const project of projects) await pull(`${project}/team/app`);
  for (const upstream of [hub, ...Object.values(others)]) upstream.behaviour.account = undefined;
  await pull('library/hello');
  await pull('library/other');
  for (const name of Object.keys(others)) await pull(`${name}/org/hidden`);
  hub.behaviour.status = { code: 500, body: 'broken' };
  await pull('library/broken');
  hub.behaviour.status = undefined;
  await hub.goDown();
  await pull('library/gone');
  await hub.comeBack();
}
