import puppeteer, { type Browser } from 'puppeteer-core';

import { requireTool } from './find-tool.ts';
import { makeTempFolder, removeTempFolder } from './temp-folder.ts';

export interface TestBrowser {
  readonly browser: Browser;
  stop(): Promise<void>;
}

/** Debian's Chromium without a window, with a profile of its own. */
export async function startBrowser(): Promise<TestBrowser> {
  const home = makeTempFolder('browser');
  const browser = await puppeteer.launch({
    executablePath: requireTool('chromium'),
    userDataDir: home,
    env: { ...process.env, HOME: home },
    // Root has no sandbox; /dev/shm is small in containers.
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--no-first-run'],
    timeout: 120_000,
    protocolTimeout: 120_000,
  });
  return {
    browser,
    stop: async () => {
      await browser.close();
      await removeTempFolder(home);
    },
  };
}
