// YAML 1.1 as PyYAML reads it, because that is how Synapse reads its configuration.

import type { ScalarTag, Tags } from 'yaml';

const CORE = ['map', 'seq', 'str', 'null', 'bool', 'int', 'float', 'merge'].map((name) => `tag:yaml.org,2002:${name}`);

/** Tags whose values are plain data. The others of YAML 1.1 (binary, timestamp, set, ...) would not cross to a cell. */
export const isCoreTag = (tag: string): boolean => tag === '!' || CORE.includes(tag);

/**
 * Changes the resolvers of the yaml library where PyYAML's differ: `y` and `n` are text, and so is `12e4`.
 * Dates stay as they are written.
 */
export function asPyYaml(tags: Tags): Tags {
  return tags.filter((tag) => typeof tag === 'string' || isCoreTag(tag.tag)).map(adjusted);
}

const TRUE = /^(?:yes|Yes|YES|true|True|TRUE|on|On|ON)$/;
const FALSE = /^(?:no|No|NO|false|False|FALSE|off|Off|OFF)$/;
const EXPONENTIAL = /^[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)[eE][-+][0-9]+$/;

function adjusted(tag: Tags[number]): Tags[number] {
  if (typeof tag === 'string' || tag.collection) return tag;
  if (tag.tag.endsWith(':bool')) return { ...tag, test: isTrueTag(tag) ? TRUE : FALSE };
  return tag.format === 'EXP' ? { ...tag, test: EXPONENTIAL } : tag;
}

const isTrueTag = (tag: ScalarTag): boolean => tag.identify?.(true) ?? false;
