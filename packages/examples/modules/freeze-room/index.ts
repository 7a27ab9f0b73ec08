// A room that an administrator has frozen stays as it is: its members can read and leave, nothing else.

import { allow, deny, type MatrixEvent, type ModuleApi, type StateMap, type Verdict, v } from '@bulkhead/sdk';

const Config = v.strictObject({
  event_type: v.optional(v.pipe(v.string(), v.nonEmpty('expected an event type')), 'org.example.room.frozen'),
  power_level: v.optional(v.pipe(v.number(), v.integer('expected an integer')), 100),
});
type Config = v.InferOutput<typeof Config>;

export class FreezeRoom {
  static parseConfig(config: unknown): Config {
    return v.parse(Config, config);
  }

  private readonly config: Config;

  constructor(config: Config, api: ModuleApi) {
    this.config = config;
    // Looked at for every event of every room: it comes with the call.
    const stateTypes = [config.event_type];
    api.registerThirdPartyRulesCallbacks({ checkEventAllowed: this.checkEventAllowed }, { stateTypes });
  }

  async checkEventAllowed(event: MatrixEvent, state: StateMap): Promise<Verdict> {
    const frozen = (await state.get(this.config.event_type))?.content.frozen === true;
    if (event.type === this.config.event_type && event.state_key === '') return this.maySetFrozen(event, frozen, state);
    if (!frozen || isLeaving(event)) return allow();
    return deny({ reason: 'This room is frozen' });
  }

  private async maySetFrozen(event: MatrixEvent, frozen: boolean, state: StateMap): Promise<Verdict> {
    const wanted = event.content.frozen;
    if (typeof wanted !== 'boolean') return deny({ code: 'M_BAD_JSON', reason: 'frozen must be true or false' });
    if (frozen && wanted) return deny({ reason: 'This room is frozen' });
    if ((await powerOf(event.sender, state)) >= this.config.power_level) return allow();
    return deny({ reason: `Freezing a room takes power level ${this.config.power_level}` });
  }
}

/** Leaving is one's own; a kick is not. */
const isLeaving = (event: MatrixEvent): boolean => event.membership === 'leave' && event.state_key === event.sender;

// Rooms before version 10 may have levels written as text.
const Level = v.pipe(v.union([v.number(), v.string()]), v.transform(Number));
const PowerLevels = v.object({
  users: v.optional(v.record(v.string(), Level), {}),
  users_default: v.optional(Level, 0),
});

async function powerOf(userId: string, state: StateMap): Promise<number> {
  const [create, levels] = await Promise.all([state.get('m.room.create'), state.get('m.room.power_levels')]);
  // From room version 12 on creators stand above every level, and the power levels may not name them.
  if (create && Number(create.content.room_version) >= 12 && creatorsOf(create).includes(userId)) {
    return Number.POSITIVE_INFINITY;
  }
  // A room without power levels belongs to its creator.
  if (!levels) return create?.sender === userId ? 100 : 0;
  const { users, users_default } = v.parse(PowerLevels, levels.content);
  return users[userId] ?? users_default;
}

function creatorsOf(create: MatrixEvent): readonly unknown[] {
  const additional = create.content.additional_creators;
  return [create.sender, ...(Array.isArray(additional) ? additional : [])];
}
