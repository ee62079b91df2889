import { afterAll, beforeAll } from '@jest/globals';

import { describeWithTools } from '../support/describe-with-tools.ts';
import { isFullRun } from '../support/sizes.ts';
import { DOCKER_TOOLS } from '../support/start-dockerd.ts';
import { KEYCLOAK_TOOLS, startKeycloak } from '../support/start-keycloak.ts';
import { startOidcProviderOfPeople } from '../support/start-oidc-provider.ts';
import { testAccountPage } from './oidc-people/account-page.ts';
import { testKeycloakPages } from './oidc-people/keycloak-pages.ts';
import { PeopleLab } from './oidc-people/people-lab.ts';
import { testPeople } from './oidc-people/people.ts';

describeWithTools(DOCKER_TOOLS['20'], 'people of oidc-provider', () => {
  const lab = new PeopleLab(startOidcProviderOfPeople);
  beforeAll(() => lab.start());
  afterAll(() => lab.stop());

  testPeople(lab);
});

/** Keycloak compiles itself for a minute before it answers; a browser takes half a minute to install. */
if (isFullRun()) {
  testAccountPage();

  describeWithTools([...DOCKER_TOOLS['20'], ...KEYCLOAK_TOOLS], 'people of Keycloak', () => {
    const lab = new PeopleLab(startKeycloak);
    beforeAll(() => lab.start());
    afterAll(() => lab.stop());

    testPeople(lab);
    testKeycloakPages(lab);
  });
}
