/** When images are pulled without a client. */
export type WarmSchedule =
  | { readonly kind: 'interval'; readonly ms: number }
  /** Five fields (minute, hour, day, month, weekday) or six with seconds before them, in UTC. */
  | { readonly kind: 'cron'; readonly pattern: string };
