/** Writes the table of variables into docs/configuration.md: `npm run docs:config`. */
import { readFileSync, writeFileSync } from 'node:fs';

import { withConfigurationTable } from '../shared/config/configuration-table.ts';

const page = new URL('../docs/configuration.md', import.meta.url);
writeFileSync(page, withConfigurationTable(readFileSync(page, 'utf8')));
