import type { Hono } from 'hono';

export declare const app: Hono;
