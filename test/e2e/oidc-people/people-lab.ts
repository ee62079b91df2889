import { writeFile } from 'node:fs/promises';
import path from 'node:path';

import { expect } from '@jest/globals';

import { freePort } from '../../support/free-port.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { type PageVisitor, startPageVisitor } from '../../support/page-visitor.ts';
import { startTwinport, type TwinportProcess } from '../../support/registry-process.ts';
import type { SignInProvider, StartSignInProvider } from '../../support/sign-in-provider.ts';
import { type DockerDaemon, startDockerd } from '../../support/start-dockerd.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';

export type PersonName = (typeof PEOPLE)[number]['name'];

/** Ada administers; Eve's group has the name of Ada's, but lies within another one, which anybody may have made. */
const PEOPLE = [
  { name: 'ada', groups: ['/registry-admins'] },
  { name: 'alice', groups: ['/developers'] },
  { name: 'eve', groups: ['/guests/registry-admins'] },
] as const;

/** Both roles with a provider of people, and a docker daemon with an image to push. */
export class PeopleLab {
  readonly #servers = new OwnedServers();
  readonly #startProvider: StartSignInProvider;
  #parts: Parts | undefined;

  constructor(startProvider: StartSignInProvider) {
    this.#startProvider = startProvider;
  }

  async start(): Promise<void> {
    const servers = this.#servers;
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const provider = await servers.own(this.#startProvider(`${url}/auth/oidc/callback`, PEOPLE));
    const common = {
      storage: { dataDir: makeTempFolder('data') },
      env: {
        PUSH_PUBLIC_URL: url,
        AUTH_MODE: 'token',
        AUTH_OIDC_ISSUER: provider.issuer,
        AUTH_OIDC_CLIENT_ID: provider.clientId,
        AUTH_OIDC_CLIENT_SECRET: provider.clientSecret,
        AUTH_OIDC_SCOPES: provider.scopes,
        AUTH_OIDC_ADMIN_GROUP: 'registry-admins',
      },
    };
    const push = await servers.own(startTwinport({ ...common, role: 'push', port }));
    const mirror = await servers.own(startTwinport({ ...common, role: 'mirror' }));
    const daemon = await servers.own(startDockerd());
    this.#parts = { provider, push, mirror, daemon };
    const context = makeTempFolder('context');
    await writeFile(path.join(context, 'Dockerfile'), 'FROM scratch\nLABEL a=b\nCOPY . /\n');
    await daemon.succeed('build', '--tag', this.image('team'), context);
  }

  async stop(): Promise<void> {
    await this.#servers.stopAll();
  }

  get parts(): Parts {
    if (this.#parts === undefined) throw new Error('the lab has not started');
    return this.#parts;
  }

  /** As it is named at the push service. */
  image(project: string): string {
    return `${this.parts.push.host}/${project}/app:1`;
  }

  /** To the provider with a new browser, past its pages, and back. */
  async signIn(name: PersonName): Promise<PageVisitor> {
    const { provider } = this.parts;
    const { browser, location } = await this.leave();
    const back = await provider.visit(location, name);
    const arrived = await browser.get(`${back.pathname}${back.search}`);
    expect([arrived.status, arrived.location]).toEqual([303, '/auth/']);
    return browser;
  }

  /** Half of the way: a new browser, and where it was sent at the provider. */
  async leave(): Promise<{ browser: PageVisitor; location: string }> {
    const browser = startPageVisitor(this.parts.push.url);
    expect((await browser.get('/auth/')).text).toContain('href="/auth/oidc/login"');
    const { location = '' } = await browser.get('/auth/oidc/login');
    return { browser, location };
  }

  /** What stands for the person in projects and at the management API. */
  idOf(name: PersonName): string {
    const { provider } = this.parts;
    return `oidc:${provider.issuer}#${provider.subjectOf(name)}`;
  }
}

interface Parts {
  readonly provider: SignInProvider;
  readonly push: TwinportProcess;
  readonly mirror: TwinportProcess;
  readonly daemon: DockerDaemon;
}
