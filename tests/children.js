// tap has every child process import something of its own, to learn which files a test covers. The permission flags of a
// hull refuse that, and the hull ends; nothing is measured here, so children are started as they would be anywhere.

const spawning = Symbol.for('process-on-spawn@*:singletonId');
globalThis[spawning]?.listeners.splice(0);
