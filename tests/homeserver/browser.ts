// The system's Chromium, and the homeserver's page in it.

import { execFileSync } from 'node:child_process';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

export const NO_CHROMIUM = 'there is no chromium: `apt-get install chromium` gets it';

/** Where it is, if it is. */
export function findChromium(): string | undefined {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    try {
      return execFileSync('which', [name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    } catch {
      // The next name, then.
    }
  }
  return undefined;
}

export function launch(executablePath: string): Promise<Browser> {
  // Chromium's own sandbox refuses to work for root.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({ executablePath, args });
}

/** A window of its own: nothing of it is shared with others. */
export class Window {
  readonly page: Page;
  /** What the console said that is no mere note, and what was thrown. */
  readonly complaints: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    page.on('console', (message) => {
      // Chromium counts a refused request as an error of the page; the page shows it as what it is.
      const isRefusal = /\/_matrix\/client\/v3\//.test(message.location().url) && /status of \d+/.test(message.text());
      if (['error', 'warning'].includes(message.type()) && !isRefusal) this.complaints.push(message.text());
    });
    page.on('pageerror', (error) => this.complaints.push(String(error)));
  }

  static async open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Window> {
    const context = await browser.newContext(options);
    const window = new Window(await context.newPage());
    await window.page.goto(url);
    return window;
  }

  /** @param how the button's label */
  async comeIn(name: string, how = 'Register', password = `the password of ${name}`): Promise<void> {
    const { page } = this;
    await page.getByLabel('Name').fill(name);
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: how }).click();
    await page.locator('#chat').waitFor();
  }

  async say(text: string): Promise<void> {
    await this.page.getByLabel('Message', { exact: true }).fill(text);
    await this.page.keyboard.press('Enter');
  }

  /** Whether nothing of the page is wider than the window. */
  fits = () => this.page.evaluate('document.documentElement.scrollWidth <= innerWidth');
  message = (text: string) => this.page.locator('#timeline .message', { hasText: text });
  press = (label: string) => this.page.getByRole('button', { name: label }).click();
}
