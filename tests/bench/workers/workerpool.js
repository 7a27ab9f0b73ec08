import workerpool from 'workerpool';
import { isSpam } from './word-list.js';

workerpool.worker({ isSpam });
