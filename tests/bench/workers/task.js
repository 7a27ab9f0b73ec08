// For pools: one task is one event.
import { isSpam } from './word-list.js';

export default isSpam;
