import bcrypt from 'bcrypt';

/** The bcrypt hash of a password with the least work that bcrypt allows: tests make many. */
export const quickHash = (password: string): Promise<string> => bcrypt.hash(password, 4);
