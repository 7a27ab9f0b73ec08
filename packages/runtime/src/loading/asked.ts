/** What plugins give to questions of their own, to tell them from those of the bundle. */
export const ASKED = Symbol('asked by a plugin');
