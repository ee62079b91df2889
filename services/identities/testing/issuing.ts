/** Of every mode that issues tokens: as it is where nothing is configured. */
export const ISSUING = {
  tokens: {
    keyFile: undefined,
    realm: undefined,
    service: 'twinport',
    issuer: 'twinport',
    lifeSeconds: 300,
    refreshSeconds: 3600,
  },
  trustedProxies: [],
  allowsInsecure: false,
  basicRealm: 'Twinport',
} as const;
