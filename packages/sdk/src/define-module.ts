// The two forms in which authors write a module. The runtime knows one: a class with `parseConfig`.

import * as v from 'valibot';
import { type Callback, type CallbackName, callbacks } from './contract/callbacks.js';
import type { ModuleApi } from './contract/module-api.js';
import type { RequestedPermissions } from './contract/permissions.js';
import type { Awaitable, Category } from './contract/row.js';

/** What a module needs; a function where that depends on its configuration, such as on a host that the admin names. */
export type DeclaredPermissions<Config> = RequestedPermissions | ((config: Config) => RequestedPermissions);

/** A module as the runtime sees it; a class in the shape of Synapse's fits. */
export interface ModuleClass<Config = unknown> {
  new (config: Config, api: ModuleApi): object;
  /** Turns the entry's `config` into what the constructor gets. May throw ConfigError; may be asynchronous. */
  parseConfig?(config: unknown): Awaitable<Config>;
  /** Without them all granted, the module is not started. Looked at after parseConfig. */
  readonly permissions?: DeclaredPermissions<Config>;
  /** That any of its calls may go to any of several cells that know nothing of each other: admins may set `instances` then. */
  readonly stateless?: boolean;
}

export interface ModuleDefinition<S extends v.GenericSchema | v.GenericSchemaAsync, C = ModuleCallbacks> {
  readonly name: string;
  /** Validates `config`; its output is what `setup` gets. */
  readonly config: S;
  /** Without them all granted, the module is not started. */
  readonly permissions?: DeclaredPermissions<v.InferOutput<S>>;
  /** That any of its calls may go to any of several cells that know nothing of each other: admins may set `instances` then. */
  readonly stateless?: boolean;
  /** Returns the callbacks to register. Registration is possible until it is done. */
  setup(given: { readonly config: v.InferOutput<S>; readonly api: ModuleApi }): Awaitable<C | void>;
}

/** Callbacks of any category. */
export type ModuleCallbacks = { readonly [K in CallbackName]?: Callback<K> | undefined };

/** Makes a name that is no callback's a type error: what a function returns is not checked for it otherwise. */
type KnownNames<C> = { readonly [K in Exclude<keyof C, CallbackName>]: never };

/**
 * Defines a module by its schema and a set-up function.
 * @returns a class as the runtime expects it, to be exported
 */
export function defineModule<
  const S extends v.GenericSchema | v.GenericSchemaAsync,
  C extends ModuleCallbacks = ModuleCallbacks,
>(definition: ModuleDefinition<S, C & KnownNames<C>>): ModuleClass<v.InferOutput<S>> {
  const DefinedModule = class {
    static readonly permissions = definition.permissions ?? {};
    static readonly stateless = definition.stateless ?? false;

    static parseConfig(config: unknown): Promise<v.InferOutput<S>> {
      return v.parseAsync(definition.config, config);
    }

    /** Awaited by the runtime before registration closes. */
    readonly ready: Promise<void>;

    constructor(config: v.InferOutput<S>, api: ModuleApi) {
      this.ready = Promise.resolve(definition.setup({ config, api })).then((registered) => {
        if (registered) registerCallbacks(api, registered as ModuleCallbacks);
      });
    }
  };
  return Object.defineProperty(DefinedModule, 'name', { value: definition.name });
}

function registerCallbacks(api: ModuleApi, registered: ModuleCallbacks): void {
  const byCategory: { [C in Category]?: Record<string, unknown> } = {};
  for (const [name, callback] of Object.entries(registered)) {
    // An unknown name goes to some registration all the same: that is where it is refused, with a suggestion.
    const category = (name in callbacks ? callbacks[name as CallbackName].category : 'spamChecker') satisfies Category;
    byCategory[category] = { ...byCategory[category], [name]: callback };
  }
  if (byCategory.spamChecker) api.registerSpamCheckerCallbacks(byCategory.spamChecker);
  if (byCategory.accountValidity) api.registerAccountValidityCallbacks(byCategory.accountValidity);
  if (byCategory.thirdPartyRules) api.registerThirdPartyRulesCallbacks(byCategory.thirdPartyRules);
  if (byCategory.presenceRouter)
    api.registerPresenceRouterCallbacks(
      byCategory.presenceRouter as Parameters<ModuleApi['registerPresenceRouterCallbacks']>[0],
    );
}
