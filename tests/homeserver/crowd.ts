// People who use a homeserver all at once, and remember everything that it told them: what it forgets, they know.

import { Client, type ClientEvent, type Json, joinedRoom, Refusal, type SyncBody } from './client.ts';

interface Person {
  client: Client;
  readonly joined: Set<string>;
  /** The events of each room in the order in which /sync told of them. */
  readonly seen: Map<string, string[]>;
}

interface Unanswered {
  readonly person: Person;
  readonly room: string;
  readonly body: string;
  readonly transactionId: string;
}

const PEOPLE = 4;
const SYNC_MS = 500;

export class Crowd {
  readonly #random: () => number;
  readonly people: Person[] = [];
  readonly rooms = new Map<string, { readonly alias?: string }>();
  /** Every event that anybody was told of, with its body where it is a message. */
  readonly events = new Map<string, unknown>();
  readonly files = new Map<string, string>();
  /** Answers that should not have come. */
  readonly faults: string[] = [];
  #unanswered: Unanswered[] = [];
  #count = 0;
  #answers = 0;

  /** @param random decides who does what, 0 to 1 */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** Goes on until the server is gone. @param enough called when so many requests were answered */
  async use(url: string, answers: number, enough: () => void): Promise<void> {
    this.#answers = 0;
    const answered = () => {
      if (++this.#answers === answers) enough();
    };
    await Promise.all(Array.from({ length: PEOPLE - this.people.length }, () => this.#register(url)));
    if (this.rooms.size === 0) await this.#createRoom(this.people[0] as Person);
    const busy = this.people.slice(-PEOPLE).map(async (person) => {
      for (;;) {
        await this.#act(person, url);
        answered();
      }
    });
    const listening = this.people.slice(-PEOPLE).map(async (person) => {
      for (;;) await this.#sync(person, SYNC_MS);
    });
    const ended = await Promise.allSettled([...busy, ...listening]);
    for (const { reason } of ended as PromiseRejectedResult[]) this.#judge(reason);
  }

  /** After a restart: everybody comes back with what he had, and asks again for what he got no answer to. */
  async comeBack(url: string): Promise<void> {
    await Promise.all(
      this.people.map(async (person) => {
        const { since } = person.client;
        person.client = Object.assign(new Client(url, person.client as never), { since });
        await person.client.whoami();
        await this.#sync(person, 0);
      }),
    );
    await Promise.all(this.#unanswered.splice(0).map((request) => this.#say(request)));
  }

  /** What anybody was told, and the server knows no longer or otherwise. */
  async forgotten(): Promise<readonly string[]> {
    const kept = new Set<string>();
    // A room of which a sync told may be one whose making was not answered.
    const rooms = new Set([...this.rooms.keys(), ...this.people.flatMap(({ seen }) => [...seen.keys()])]);
    const ofRooms = await Promise.all([...rooms].map((room) => this.#forgottenIn(room, kept)));
    const lost = [...this.events.keys()].filter((id) => !kept.has(id)).map((id) => `the event ${id}`);
    const files = await Promise.all([...this.files].map((file) => this.#forgottenFile(file)));
    return [...ofRooms, lost, ...files].flat();
  }

  async #forgottenIn(room: string, kept: Set<string>): Promise<string[]> {
    const history = await this.#history(room);
    const ids = history.map(({ event_id }) => event_id);
    for (const id of ids) kept.add(id);
    const faults: string[] = [];
    const { alias } = this.rooms.get(room) ?? {};
    if (alias !== undefined && (await this.people[0]?.client.resolve(alias))?.room_id !== room) faults.push(alias);
    for (const { client, seen } of this.people) {
      const told = seen.get(room) ?? [];
      const begin = Math.max(0, ids.indexOf(told[0] ?? ''));
      const inOrder = ids.slice(begin, begin + told.length);
      if (told.join() !== inOrder.join())
        faults.push(`${client.userId} was told ${told} of ${room}, which has ${inOrder}`);
    }
    const messages = history.map(({ content }) => content.body).filter((body) => body !== undefined);
    if (new Set(messages).size !== messages.length) faults.push(`${room} has a message twice: ${messages}`);
    return faults;
  }

  async #forgottenFile([file, text]: [string, string]): Promise<string[]> {
    const answer = await this.people[0]?.client.download(file);
    return (await answer?.text()) === text ? [] : [file];
  }

  /** Everything that is in a room, oldest first. */
  async #history(room: string): Promise<readonly ClientEvent[]> {
    const reader = (this.people.find(({ joined, seen }) => joined.has(room) || seen.has(room)) ??
      this.people[0]) as Person;
    await this.#join(reader, room);
    const chunk: ClientEvent[] = [];
    for (let from: string | undefined; ; ) {
      const page = await reader.client.messages(room, { dir: 'f', limit: 1000, from });
      chunk.push(...page.chunk);
      if (page.end === undefined) return chunk;
      from = page.end;
    }
  }

  async #act(person: Person, url: string): Promise<void> {
    const choice = this.#random();
    const room = pick([...this.rooms.keys()], this.#random);
    if (choice < 0.01) await this.#register(url);
    else if (choice < 0.15) await this.#createRoom(person);
    else if (choice < 0.25) await this.#upload(person);
    else {
      await this.#join(person, room);
      if (choice < 0.5)
        this.#told(await person.client.setState(room, 'm.room.member', renamed(this.#next()), person.client.userId));
      else await this.#say({ person, room, body: `message ${this.#next()}`, transactionId: `crowd.${this.#next()}` });
    }
  }

  async #join({ client, joined }: Person, room: string): Promise<void> {
    if (joined.has(room)) return;
    await client.join(room);
    joined.add(room);
  }

  async #register(url: string): Promise<void> {
    this.people.push({
      client: await Client.register(url, `person${this.#next()}`),
      joined: new Set(),
      seen: new Map(),
    });
  }

  async #createRoom({ client }: Person): Promise<void> {
    const name = `room${this.#next()}`;
    const alias = this.#random() < 0.5 ? { room_alias_name: name } : {};
    const room = await client.createRoom({ preset: 'public_chat', name, ...alias });
    if (this.rooms.has(room)) this.faults.push(`The id ${room} was given twice`);
    this.rooms.set(room, 'room_alias_name' in alias ? { alias: `#${name}:example.com` } : {});
  }

  async #upload({ client }: Person): Promise<void> {
    const text = `file ${this.#next()} `.repeat(1 + this.#random() * 20_000);
    const file = await client.upload(text);
    if (this.files.has(file)) this.faults.push(`The id ${file} was given twice`);
    this.files.set(file, text);
  }

  async #say(request: Unanswered): Promise<void> {
    const { person, room, body, transactionId } = request;
    this.#unanswered.push(request);
    const id = await person.client.send(room, 'm.room.message', { msgtype: 'm.text', body }, transactionId);
    this.#unanswered = this.#unanswered.filter((each) => each !== request);
    this.#told(id, body);
  }

  async #sync(person: Person, timeout: number): Promise<void> {
    const { client } = person;
    const before = client.since;
    try {
      const body = await client.sync({ timeout });
      const told = new Map<string, readonly ClientEvent[]>();
      for (const room of Object.keys(body.rooms.join)) told.set(room, await this.#timeline(person, room, body));
      for (const [room, events] of told) {
        for (const event of events) this.#told(event.event_id, event.content.body);
        person.seen.set(room, [...(person.seen.get(room) ?? []), ...events.map(({ event_id }) => event_id)]);
      }
    } catch (error) {
      // What was only half read is read again.
      client.since = before;
      throw error;
    }
  }

  /** What is new in a room, with what a limited timeline leaves out. */
  async #timeline({ client, seen }: Person, room: string, body: SyncBody): Promise<readonly ClientEvent[]> {
    const { events, limited, prev_batch } = joinedRoom(body, room).timeline;
    const last = seen.get(room)?.at(-1);
    if (!limited || last === undefined) return events;
    const { chunk } = await client.messages(room, { dir: 'b', from: prev_batch, limit: 1000 });
    const known = chunk.findIndex(({ event_id }) => event_id === last);
    return [...chunk.slice(0, known < 0 ? undefined : known).reverse(), ...events];
  }

  #told(id: string, body?: unknown): void {
    const before = this.events.get(id);
    if (before !== undefined && body !== undefined && before !== body) this.faults.push(`The id ${id} was given twice`);
    this.events.set(id, body ?? before);
  }

  /** Whoever is killed breaks off; an answer that refuses something is another matter. */
  #judge(reason: unknown): void {
    if (reason instanceof Refusal || !(reason instanceof TypeError)) this.faults.push(String(reason));
  }

  #next = () => ++this.#count;
}

const renamed = (count: number): Json => ({ membership: 'join', displayname: `number ${count}` });

const pick = <T>(from: readonly T[], random: () => number): T => from[Math.floor(random() * from.length)] as T;
