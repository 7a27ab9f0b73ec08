// The guided tour: a real client over HTTP, allowed or refused by real modules, and a homeserver that does not mind what
// becomes of them. Every step checks what comes; the tour passes when all do.

import picocolors from 'picocolors';
import type { Homeserver } from '../index.js';
import { Client, exchange } from './client.js';
import { takePulse } from './pulse.js';
import { expect, expectThat, print, Steps } from './steps.js';

/** @returns whether every step came out as it should */
export async function runTour(homeserver: Homeserver, stopped: AbortSignal): Promise<boolean> {
  const steps = new Steps();
  const scene = { homeserver, url: homeserver.url as string, steps };
  const chapters = [house, people, rooms, messages, resources, presence, looping, aborting];
  const cast: Partial<Cast> = {};
  for (const chapter of chapters) {
    if (stopped.aborted) return false;
    await chapter(scene, cast as Cast);
  }
  const { passed, failed } = steps.counts;
  const summary = `${passed} steps came out as they should, ${failed} did not`;
  print(`\n${steps.allPassed ? picocolors.green(summary) : picocolors.red(summary)}`);
  return steps.allPassed;
}

interface Scene {
  readonly homeserver: Homeserver;
  readonly url: string;
  readonly steps: Steps;
}

/** Who and what the later chapters find. */
interface Cast {
  alice: Client;
  bob: Client;
  evilguy: Client;
  watcher: Client;
  room: string;
}

type Chapter = (scene: Scene, cast: Cast) => Promise<void>;

const FROZEN = 'org.example.room.frozen';

const house: Chapter = async ({ homeserver, url, steps }) => {
  steps.chapter('The house');
  await steps.step('the homeserver answers', async () => {
    const { status, body } = await exchange(url, 'GET', '/_matrix/client/versions');
    expect('status', status, 200);
    return `GET ${url}/_matrix/client/versions: ${(body.versions as string[]).at(-1)}`;
  });
  await steps.step('every module runs in a cell of its own', async () => {
    const modules = homeserver.modules.status();
    expect(
      'modules that do not run',
      modules.filter(({ state }) => state !== 'running'),
      [],
    );
    const hulls = new Set(modules.map(({ hullPid }) => hullPid));
    return `${modules.length} modules (${modules.map(({ id }) => id).join(', ')}) in ${hulls.size} hull, process ${[...hulls].join(', ')}`;
  });
};

const people: Chapter = async ({ url, steps }, cast) => {
  steps.chapter('People register');
  for (const name of ['alice', 'bob', 'evilguy', 'watcher'] as const) {
    await steps.step(`${name} registers`, async () => {
      cast[name] = await Client.register(url, name);
      return cast[name].userId;
    });
  }
  await steps.step('a name that begins like spam may not (signup-and-media)', async () => {
    const { status, body } = await Client.tryRegister(url, 'spammer1');
    expect('status', status, 429);
    return told(status, body);
  });
  await steps.step('everybody who registered has an account that expires (account-expiry)', async () => {
    const { status, body } = await cast.alice.get('/_synapse/client/account_expiry/renew');
    expect('status', status, 200);
    return `the module knows its caller without seeing a token: ${JSON.stringify(body)}`;
  });
};

const rooms: Chapter = async ({ steps }, cast) => {
  steps.chapter('Rooms');
  await steps.step('alice creates a room', async () => {
    const { status, body } = await cast.alice.createRoom({ name: 'Tour', preset: 'private_chat' });
    expect('status', status, 200);
    cast.room = String(body.room_id);
    return cast.room;
  });
  await steps.step('evilguy may not (demo)', async () => {
    const { status, body } = await cast.evilguy.createRoom();
    expect('answer', [status, body.errcode], [403, 'M_FORBIDDEN']);
    return told(status, body);
  });
  await steps.step('alice invites bob, who joins', async () => {
    expect('invite', (await cast.alice.invite(cast.room, cast.bob.userId)).status, 200);
    expect('join', (await cast.bob.join(cast.room)).status, 200);
    return `${cast.bob.userId} is in ${cast.room}`;
  });
  await steps.step('nobody may be invited from a server that is not listed (domain-invites)', async () => {
    const { status, body } = await cast.alice.invite(cast.room, '@mallory:evil.example');
    expect('status', status, 403);
    return told(status, body);
  });
};

const messages: Chapter = async ({ steps }, { alice, bob, room }) => {
  steps.chapter('Messages');
  await steps.step('bob says hello', async () => {
    const { status, body } = await bob.say(room, 'hello');
    expect('status', status, 200);
    return String(body.event_id);
  });
  await steps.step('a listed word is refused (word-list)', async () => {
    const { status, body } = await bob.say(room, 'Meet me at the C A S I N O? No: at the casino!');
    expect('answer', [status, body.errcode], [403, 'M_FORBIDDEN']);
    return told(status, body);
  });
  await steps.step('a tracking parameter is taken out of a link (rewrite-event)', async () => {
    expect('status', (await bob.say(room, 'see https://example.org/page?utm_source=mail&id=7')).status, 200);
    const last = (await alice.messages(room)).at(-1);
    expect('message', last, 'see https://example.org/page?id=7');
    return `alice reads "${last}"`;
  });
  await steps.step('alice freezes the room: bob cannot speak (freeze-room)', async () => {
    expect('freeze', (await alice.setState(room, FROZEN, { frozen: true })).status, 200);
    const { status, body } = await bob.say(room, 'is anybody there?');
    expect('status', status, 403);
    return told(status, body);
  });
  await steps.step('and thaws it: he can', async () => {
    expect('thaw', (await alice.setState(room, FROZEN, { frozen: false })).status, 200);
    expect('status', (await bob.say(room, 'thank you')).status, 200);
    return `alice reads "${(await alice.messages(room)).at(-1)}"`;
  });
};

const resources: Chapter = async ({ url, steps }) => {
  steps.chapter('A web resource of a module');
  const path = '/_synapse/client/demo/hello';
  await steps.step('the demo module answers', async () => {
    const { status, body } = await exchange(url, 'GET', `${path}?name=bob`);
    expect('answer', [status, body], [200, { hello: 'bob' }]);
    return `GET ${path}?name=bob: ${JSON.stringify(body)}`;
  });
  await steps.step('and says what is missing', async () => {
    const { status, body } = await exchange(url, 'GET', path);
    expect('status', status, 400);
    return told(status, body);
  });
};

const presence: Chapter = async ({ steps }, { alice, watcher }) => {
  steps.chapter('Presence');
  await steps.step('watcher sees alice, with whom he shares no room (presence-router)', async () => {
    await alice.put(`/_matrix/client/v3/presence/${encodeURIComponent(alice.userId)}/status`, {
      presence: 'online',
      status_msg: 'on tour',
    });
    const { body } = await watcher.get('/_matrix/client/v3/sync');
    const events = (body.presence as { events?: { sender: string; content: { status_msg?: string } }[] }).events ?? [];
    const seen = events.find(({ sender }) => sender === alice.userId);
    expect('status message', seen?.content.status_msg, 'on tour');
    return `/sync: ${seen?.sender} is ${JSON.stringify(seen?.content)}`;
  });
};

const looping: Chapter = async ({ homeserver, url, steps }, { alice, bob, room }) => {
  steps.chapter('A module loops for ever (rogue)');
  let servedAgain: Promise<number> | undefined;
  await steps.step('its call settles when its time is up; everything else goes on', async () => {
    servedAgain = runsAgain(homeserver, 'rogue', 'restarting');
    const loop = alice.say(room, '!rogue loop');
    const others = Promise.all([bob.get('/_matrix/client/v3/account/whoami'), alice.messages(room)]);
    const pulse = await takePulse(url, loop);
    const { status, ms } = await loop;
    await others;
    expect('status', status, 500);
    expectThat('no request failed meanwhile', pulse.failed === 0);
    return `refused by policy after ${Math.round(ms)} ms; meanwhile ${pulse.requests} requests, the slowest ${pulse.slowestMs} ms, event loop held up ${pulse.longestBlockMs} ms at most`;
  });
  await steps.step('its cell is ended and another serves', async () => {
    const ms = await (servedAgain as Promise<number>);
    expect('status', (await alice.say(room, 'and on we go')).status, 200);
    return `serving again ${Math.round(ms)} ms after the kill`;
  });
};

const aborting: Chapter = async ({ homeserver, url, steps }, { alice, bob, room }) => {
  const bomb = 'rogue-abort';
  steps.chapter(`A module aborts its whole process (${bomb})`);
  let serving: Promise<number> | undefined;
  await steps.step('the hull goes down, the homeserver does not even stutter', async () => {
    const hull = new Promise<{ pid: number; cause: string; modules: readonly string[] }>((resolve) => {
      const off = homeserver.modules.on('hull', (ended) => {
        off();
        resolve(ended);
      });
    });
    serving = hull.then(() => allRun(homeserver, bomb));
    const blast = alice.say(room, '!bomb abort');
    const pulse = await takePulse(url, Promise.all([hull, blast]));
    const { pid, cause, modules } = await hull;
    // Whoever was being asked at the same time may be suspected with it.
    expect('who did it', modules.includes(bomb), true);
    expectThat('no request failed meanwhile', pulse.failed === 0);
    return `process ${pid} ended (${cause}), culprit: ${modules.join(', ')}; meanwhile ${pulse.requests} requests, the slowest ${pulse.slowestMs} ms`;
  });
  await steps.step('all modules serve again from the next hull', async () => {
    const ms = await (serving as Promise<number>);
    expect('status', (await bob.say(room, 'still here')).status, 200);
    const { body } = await exchange(url, 'GET', '/_synapse/client/demo/hello?name=again');
    expect('the demo module', body, { hello: 'again' });
    return `${Math.round(ms)} ms after the hull's end`;
  });
};

/** Milliseconds from the module leaving the state to its running again. */
function runsAgain({ modules }: Homeserver, id: string, left: string): Promise<number> {
  return new Promise((resolve) => {
    let leftAt = 0;
    const off = modules.on('cell', ({ module, state }) => {
      if (module !== id) return;
      if (state === left) leftAt = performance.now();
      if (state === 'running') {
        off();
        resolve(performance.now() - leftAt);
      }
    });
  });
}

/** Milliseconds until every module runs. */
async function allRun({ modules }: Homeserver, except: string): Promise<number> {
  const startedAt = performance.now();
  while (modules.status().some(({ id, state }) => id !== except && state !== 'running')) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return performance.now() - startedAt;
}

const told = (status: number, { errcode, error }: Readonly<Record<string, unknown>>): string =>
  `${status} ${errcode}: ${error}`;
