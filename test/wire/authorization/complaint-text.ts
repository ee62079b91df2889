const SHOWN = 25;

/** What is wrong, and how much more there is of it. */
export const complaintText = (complaints: readonly string[]): readonly string[] =>
  complaints.length <= SHOWN
    ? complaints
    : [...complaints.slice(0, SHOWN), `… and ${complaints.length - SHOWN} more`];
