/** Marks, in the title of a group of tests, why they could not run; the closing report reads it. */
export const COULD_NOT_RUN = 'could not run: ';
